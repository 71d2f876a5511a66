"use strict";
/* For pages opened from a disk, where browsers start no worker: what the site's search would run in one runs in a hidden
   frame instead. Material for MkDocs takes a script of this name for that; its own would come from the network, each time.
   Its search asks for parent.IFrameWorker, and then loads its files from where its script is. */
if (location.protocol === "file:") {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = this.inside = frame.contentWindow;
      inside.document.open();
      inside.document.write("<!DOCTYPE html><body>");
      inside.document.close();
      const load = (source) => new Promise((resolve, reject) => {
        const script = inside.document.createElement("script");
        Object.assign(script, { src: source, onload: resolve, onerror: reject });
        inside.document.body.append(script);
      });
      inside.importScripts = async (...sources) => { for (const one of sources) await load(one); };
      inside.postMessage = (data) => {
        const message = new MessageEvent("message", { data: structuredClone(data) });
        queueMicrotask(() => this.dispatchEvent(message));
      };
      this.ready = load(url);
    }

    postMessage(data) {
      const message = new MessageEvent("message", { data: structuredClone(data) });
      this.ready.then(() => this.inside.dispatchEvent(message));
    }
  };
}
