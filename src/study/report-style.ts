import { armVariables } from "./figures-theme.ts";

const light = `--ink:#1c1f24;--soft:#565c66;--line:#e2e5e9;--ground:#ffffff;--card:#f5f6f8;${armVariables("light")}`;
const dark = `--ink:#eceef1;--soft:#a9b0ba;--line:#343941;--ground:#16181c;--card:#1f2228;${armVariables("dark")}`;

/** The page's style: light or dark as the reader has it, light on paper. */
export const style = `
:root{color-scheme:light;${light};--yes:#00734f;--no:#b3261e;--open:#7a5900;--none:#565c66}
@media screen and (prefers-color-scheme:dark){:root{color-scheme:dark;${dark};--yes:#3ccba0;--no:#ff8a80;--open:#f0c84b;--none:#a9b0ba}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 20px 56px}
h1{font-size:26px;margin:8px 0}h2{font-size:20px;margin:40px 0 10px}h3{font-size:16px;margin:0 0 6px}
p{margin:6px 0}.soft,figcaption{color:var(--soft);font-size:14px}small{color:var(--soft)}
a{color:inherit}
.notice{background:var(--card);border-left:4px solid var(--open);margin:14px 0;padding:10px 14px;font-size:15px;list-style:none}
.claim{border:1px solid var(--line);border-radius:8px;padding:14px 18px;margin:12px 0}
.part{margin-top:10px;font-size:15px}.part ul{margin:4px 0;padding-left:20px}
.badge{display:inline-block;border:1.5px solid currentColor;border-radius:12px;padding:0 9px;font-size:13px;font-weight:600;white-space:nowrap;vertical-align:1px}
.yes{color:var(--yes)}.no{color:var(--no)}.open{color:var(--open)}.none{color:var(--none)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;border-bottom:1px solid var(--line);text-align:right;vertical-align:bottom}
thead th{color:var(--soft);font-size:13px;font-weight:600;border-bottom:1.5px solid var(--soft)}
td{white-space:nowrap}th:first-child,td:first-child{text-align:left;padding-left:0}td:first-child{white-space:normal;min-width:190px}
tbody th{padding-top:16px;font-weight:600}
figure{margin:18px 0 36px}.drawing{overflow-x:auto}.drawing svg{max-width:100%;height:auto;display:block}
figcaption{max-width:860px;margin-top:6px}.links{white-space:nowrap}
@media print{body{font-size:11px}main{max-width:none;padding:0}h1{font-size:18px}h2{font-size:14px;margin:18px 0 6px}h3{font-size:12px}
.part,.notice,figcaption,.soft{font-size:10px}table{font-size:8.5px}thead th{font-size:8.5px}th,td{padding:2px 4px}td:first-child{min-width:80px}
.claim,figure,tr{break-inside:avoid}h2,h3{break-after:avoid}.scroll,.drawing{overflow:visible}.drawing svg{max-height:17cm}.links{display:none}}
`;
