import { el } from "../shared/dom.ts";
import type { Reader } from "./reader.ts";

export interface ReportFrame {
  element: HTMLElement;
  update(): Promise<void>;
}

/**
 * Shows a report in the page. From a server it stands in a frame, for which the server sends a policy of its own: its style, no scripts. From
 * opened files, whose frame would have this page's policy and so no style, it stands in a shadow tree with its style sheets taken over.
 */
export function reportFrame(reader: Reader, path: string): ReportFrame {
  const element = el("div", { className: "report" });
  let shown = "";
  return {
    element,
    update: async () => {
      const file = reader.found().files.get(path);
      const stamp = file ? `${file.modified} ${file.size}` : "";
      if (stamp === shown) return;
      shown = stamp;
      if (!file) return element.replaceChildren();
      const ref = reader.source.file(path);
      if ("url" in ref) {
        const frame = el("iframe", { src: ref.url, title: "Report of the study" });
        frame.setAttribute("sandbox", "");
        element.replaceChildren(frame);
      } else {
        const host = el("div", { className: "report-page" });
        host.attachShadow({ mode: "open" }).append(...pageOf(await reader.text(path), host.shadowRoot!));
        element.replaceChildren(host);
      }
    },
  };
}

/** The body of a page without anything that acts, and its style in the tree's own sheets. */
function pageOf(html: string, root: ShadowRoot): Node[] {
  const page = new DOMParser().parseFromString(html, "text/html");
  root.adoptedStyleSheets = [...page.querySelectorAll("style")].map((style) => {
    const sheet = new CSSStyleSheet();
    const text = style.textContent ?? "";
    style.remove();
    sheet.replaceSync(text.replaceAll(":root", ":host").replace(/(^|[}\n])body\{/g, "$1:host{"));
    return sheet;
  });
  for (const acting of page.querySelectorAll("script, iframe, object, embed, link, meta, base, form")) acting.remove();
  for (const node of page.querySelectorAll<HTMLElement>("*")) {
    for (const { name, value } of [...node.attributes]) {
      if (name.startsWith("on") || /^\s*javascript:/i.test(value)) node.removeAttribute(name);
      // Files beside the report are not at addresses of this page.
      if (name === "href" && node instanceof HTMLAnchorElement) node.removeAttribute(name);
      // Style attributes count as inline style; set from a script they do not.
      if (name === "style") {
        node.removeAttribute(name);
        node.style.cssText = value;
      }
    }
  }
  return [...page.body.childNodes];
}
