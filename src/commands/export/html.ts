import { createHash } from 'node:crypto';
import type { Format } from './format.ts';
import { createTally, factsOf, groupsOf, type Group } from './group.ts';
import type { Entry, Run } from './entry.ts';
import { safeText } from './safe-text.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text of others, inside an element or a quoted attribute. */
const escape = (text: string): string => safeText(text).replace(/[&<>"']/g, (char) => ESCAPES[char] as string);

const STYLE = `
:root{color-scheme:light dark;--line:#ddd;--dim:#666;--warn:#8f5400;--bad:#b3261e;--soft:#f5f5f5;--run:#2f6ab0}
@media screen and (prefers-color-scheme:dark){:root{--line:#444;--dim:#aaa;--warn:#f0b35a;--bad:#ff8a80;--soft:#222;--run:#7db3f0}}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}
h1{font-size:1.5rem}h2{font-size:1rem;margin:0 0 .25rem}
dl,li{display:grid;gap:0 1rem}
dl{grid-template-columns:max-content 1fr}dt{color:var(--dim)}dd{margin:0}
section{border-left:3px solid var(--line);padding:.25rem 0 .25rem 1rem;margin:1rem 0;content-visibility:auto;contain-intrinsic-size:auto 10rem}
section.run{border-color:var(--run)}
section:target{outline:2px solid var(--run);outline-offset:2px}
small,a{font-size:.85rem;font-weight:normal}a{color:var(--run)}section p{margin:.25rem 0 0}
ol{list-style:none;margin:0;padding:0}
li{grid-template-columns:8ch 24ch minmax(0,14rem) minmax(0,1fr);padding:.1rem 0}
li>*,dd,h2,small{unicode-bidi:isolate}
i,time,small{color:var(--dim);font-style:normal;font-variant-numeric:tabular-nums}
i{text-align:right}
.warning span{color:var(--warn)}.error span{color:var(--bad)}
pre{grid-column:2/-1;background:var(--soft);margin:.25rem 0;padding:.5rem;white-space:pre-wrap;max-height:30rem;overflow:auto}
progress{width:8rem;margin-right:.5rem}
@media(max-width:50rem){li{grid-template-columns:8ch 1fr}li>b,li>span{grid-column:2}}
@media print{:root{color-scheme:light}body{margin:0;max-width:none;font-size:10pt}section{content-visibility:visible;break-inside:auto}h2{break-after:avoid}li{break-inside:avoid}pre{max-height:none;overflow:visible}}
`;

/** Nothing is loaded and nothing runs: the one style is known by its hash. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'`;

const entryHtml = ({ seq, time, severity, who, what, block, progress }: Entry): string => {
  const level = severity === 'warning' || severity === 'error' ? ` class="${severity}"` : '';
  const bar = progress === null ? '' : `<progress max="100" value="${progress}"></progress>`;
  // The first line feed in a `pre` is none (HTML, 13.2.6.4.7).
  const more = block === null ? '' : `<pre>\n${escape(block)}</pre>`;
  // The HTML standard takes a space for the T of a time, and wants the zone.
  return `<li${level}><i>${seq}</i><time>${time}Z</time><b>${who === null ? '' : escape(who)}</b><span>${bar}${escape(what)}</span>${more}</li>\n`;
};

const anchorOf = (run: Run, part: number): string => `run-${run.n}-${part}`;

/** One execution can be followed through all others: from each part of it to the first, the one before and the next. */
const sectionHtml = ({ run, part, entries, goesOn }: Group): string => {
  const list = entries.length > 0 ? `<ol>\n${entries.map(entryHtml).join('')}</ol>` : '';
  if (run === null) return `<section>${list}</section>\n`;
  const link = (to: number, text: string): string => `<a href="#${anchorOf(run, to)}">${text}</a>`;
  const by = run.by === null || part > 1 ? '' : ` for ${escape(run.by)}`;
  const state = part === 1 ? '' : entries.length > 0 ? ', continued' : ', not over here';
  const back = part === 1 ? '' : ` ${part > 2 ? `${link(1, 'first')} ` : ''}${link(part - 1, 'before')}`;
  const on = goesOn ? `<p>${link(part + 1, 'goes on')}</p>` : '';
  const name = `${escape(run.command ?? 'execution')}${state}`;
  return `<section class="run" id="${anchorOf(run, part)}"><h2>${name} <small>${escape(run.id)}${by}</small>${back}</h2>${list}${on}</section>\n`;
};

const list = (rows: readonly (readonly [name: string, value: string | number])[]): string =>
  `<dl>${rows.map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(String(value))}</dd>`).join('')}</dl>\n`;

/** One page that needs nothing but itself: a transcript by time, put together by execution, to read and to print. */
export const html: Format = {
  mediaType: 'text/html; charset=utf-8',
  write: async function* (head, pages) {
    const title = `Session ${escape(head.session.session_id)}`;
    yield `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">
<title>${title}</title><style>${STYLE}</style></head>
<body><header><h1>${title}</h1>
${list(factsOf(head))}</header>
<main>
`;
    const tally = createTally();
    for await (const group of groupsOf(head, pages, tally.add)) yield sectionHtml(group);
    // The end says that this is all of it: a file that was cut off has none.
    yield `</main>
<footer><h2>${tally.total()} events, complete</h2>
${list(tally.all())}</footer></body></html>
`;
  },
};
