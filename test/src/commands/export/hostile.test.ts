import { parse as parseCsv } from 'csv-parse/sync';
import fc from 'fast-check';
import { micromark } from 'micromark';
import { gfm, gfmHtml } from 'micromark-extension-gfm';
import { parse, type DefaultTreeAdapterMap } from 'parse5';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event } from '../../../../machines/event.ts';
import { safeText } from '../../../../src/commands/export/safe-text.ts';
import { ADA, EXE, headOf, logOf, written } from './log.ts';

/** What others have written comes out as what they have written, in every format, and does nothing there. */
const test = suite('hostile sessions');

const BITS = [
  ...[
    '<script>alert(1)</script>',
    '</pre>',
    '</li></ol>',
    '<img src=x onerror=y>',
    '<!--',
    '-->',
    ']]>',
    '<?x',
    '&lt;',
    '&#0;',
    '&amp',
  ],
  ...[
    '"',
    "'",
    '`',
    '```',
    '````',
    '~~~',
    '~~',
    '*',
    '**',
    '_',
    '\\',
    '|',
    '$$',
    '^',
    '[x](javascript:y)',
    '![x](//y)',
  ],
  ...[
    '[^1]',
    '[x]: y',
    'http://evil.example/',
    'WWW.evil.example',
    'a@evil.example',
    'mailto:a@b.c',
    '<https://e.example>',
  ],
  ...[
    '\n',
    '\r',
    '\r\n',
    '\n\n',
    '\t',
    '    ',
    '# ',
    '- ',
    '1. ',
    '> ',
    '---',
    '===',
    '\0',
    '\u0085',
    '\u2028',
    '\ufeff',
  ],
  ...[
    '=1+1',
    '+1',
    '-1',
    '@x',
    '\uff1d',
    ',',
    ';',
    '\ud800',
    '\udc00',
    '\u{1f600}',
    '\u202e',
    '\u2066',
    '\u001b[31m',
    'é',
    ' ',
  ],
];
const hostile = fc
  .array(fc.oneof(fc.constantFrom(...BITS), fc.string({ maxLength: 4, unit: 'binary' })), { maxLength: 6 })
  .map((bits) => bits.join(''));

const session = fc
  .record({
    owner: hostile,
    name: hostile,
    principal: hostile,
    command: hostile,
    message: hostile,
    chunk: hostile,
    title: hostile,
    reason: hostile,
    type: hostile,
    value: hostile,
  })
  .map((told) => {
    const { owner, name, principal, command, message, chunk, title, reason, value } = told;
    const by = { principal, client_id: ADA };
    const events = logOf([
      ['session_opened', { owner }, { principal: owner, source: reason, correlation_id: value, traceparent: name }],
      ['client_joined', { client_id: ADA, name, type: 'cli', principal, via_share: value }, { principal }],
      ['execution_queued', { execution_id: EXE, command, priority: 0, started_by: by }, by],
      ['execution_progress', { execution_id: EXE, progress: 5, message, metadata: { [value]: value } }],
      ['execution_output', { execution_id: EXE, stream: value, chunk }],
      ['execution_waiting', { execution_id: value, until: reason, reason }],
      ['execution_completed', { execution_id: EXE, result: value, artifacts: [{ name }] }],
      ['execution_failed', { execution_id: reason, error: { title, detail: reason } }, { severity: 'error' }],
      ['share_created', { share_id: name, label: title, capability: { [name]: value } }, by],
      ['security_violation', { operation: title, command, reason, count: 2 }, { severity: 'warning', ...by }],
      ['coordination_request', { operation: title, description: chunk, coordination_id: value }, by],
      ['coordination_rejected', { operation: title, rejections: [{ principal, comment: chunk }], reason }],
      ['webhook_dead', { webhook_id: name, event_type: value, reason }],
      ['never_heard_of', { [name]: value, nested: { [value]: [chunk] } }, by],
    ]);
    return { told, events, head: headOf(events, owner) };
  });
type Session = typeof session extends fc.Arbitrary<infer Value> ? Value : never;

const always = (check: (given: Session) => Promise<void>, numRuns = 150): Promise<void> =>
  fc.assert(fc.asyncProperty(session, check), { numRuns });

type Node = DefaultTreeAdapterMap['node'];

/** Every element below a node, in order. */
const elementsIn = (node: Node): DefaultTreeAdapterMap['element'][] =>
  'childNodes' in node
    ? node.childNodes.flatMap((child) => ('tagName' in child ? [child, ...elementsIn(child)] : elementsIn(child)))
    : [];
const textIn = (node: Node): string => {
  if (node.nodeName === '#text') return (node as DefaultTreeAdapterMap['textNode']).value;
  return 'childNodes' in node ? node.childNodes.map(textIn).join('') : '';
};
const shapeOf = ({ tagName, attrs }: DefaultTreeAdapterMap['element']): string =>
  [tagName, ...attrs.map(({ name, value }) => `${name}=${/^(max|value|class)$/.test(name) ? value : ''}`)].join(' ');

/** The elements of a document, and their attributes: all that a document can do. */
const documentOf = (html: string, strict: boolean) => {
  const errors: string[] = [];
  const document = parse(html, { onParseError: ({ code }) => void errors.push(code) });
  if (strict) assert.equal(errors, []);
  const all = elementsIn(document);
  return {
    shapes: new Set(all.map(shapeOf)),
    find: (tag: string) => all.filter(({ tagName }) => tagName === tag).map(textIn),
  };
};

/** The ids of the parts of executions, and where links lead: each to one of them. */
const checkLinks = (html: string): void => {
  const attributes = elementsIn(parse(html)).flatMap(({ attrs }) => attrs);
  const values = (wanted: string): string[] =>
    attributes.filter(({ name }) => name === wanted).map(({ value }) => value);
  const ids = values('id');
  assert.is(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^run-\d+-\d+$/);
  for (const href of values('href')) assert.ok(ids.includes(href.slice(1)) && href.startsWith('#'), href);
};

const PLAIN_HTML = new Set([
  ...[
    'html lang=',
    'head',
    'meta charset=',
    'meta http-equiv= content=',
    'meta name= content=',
    'title',
    'style',
    'body',
  ],
  ...[
    'header',
    'h1',
    'dl',
    'dt',
    'dd',
    'main',
    'section',
    'section class=run id=',
    'p',
    'a href=',
    'h2',
    'small',
    'ol',
    'li',
    'li class=warning',
  ],
  ...['li class=error', 'i', 'time', 'b', 'span', 'progress max=100 value=5', 'pre', 'footer'],
]);

test('html: the parser finds no error, no other element, and the very text', async () => {
  await always(async ({ told, events, head }) => {
    const page = await written('html', events, head);
    const { shapes, find } = documentOf(page, true);
    checkLinks(page);
    for (const shape of shapes) assert.ok(PLAIN_HTML.has(shape), shape);
    assert.is(find('li').length, events.length);
    assert.ok(find('pre').includes(safeText(told.chunk)), JSON.stringify(find('pre')));
    const said = find('span')[3];
    assert.is(said, told.message === '' ? '5 %' : `5 % ${safeText(told.message)}`);
    assert.is(find('dd')[1], safeText(told.owner));
  });
});

const PLAIN_MARKDOWN = new Set([
  ...['html', 'head', 'body', 'h1', 'h2', 'table', 'thead', 'tbody', 'tr', 'th', 'td'],
  ...['ul', 'li', 'p', 'code', 'strong', 'pre', 'code class=language-text'],
]);
const oneLine = (text: string): string => safeText(text).replace(/\s+/g, ' ').trim();

test('markdown: rendered with every extension and raw HTML it has no other element, and the very text', async () => {
  const options = {
    extensions: [gfm()],
    htmlExtensions: [gfmHtml()],
    allowDangerousHtml: true,
    allowDangerousProtocol: true,
  };
  await always(async ({ told, events, head }) => {
    const text = await written('markdown', events, head);
    const { shapes, find } = documentOf(micromark(text, options), false);
    for (const shape of shapes) assert.ok(PLAIN_MARKDOWN.has(shape), `${shape} of ${text}`);
    assert.is(find('li').length, events.length);
    const blocks = find('pre');
    assert.ok(blocks.includes(`${safeText(told.chunk).replace(/\n$/, '')}\n`), JSON.stringify(blocks));
    const said = find('li')[3] as string;
    assert.ok(oneLine(said).endsWith(oneLine(`5 % ${told.message}`)), said);
  }, 80);
});

/** What a spreadsheet takes for a formula (OWASP, "CSV Injection"). */
const FORMULA = /^[\s\0]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r]/u;

test('csv: RFC 4180, the very cells but for the mark before a formula', async () => {
  await always(async ({ events }) => {
    const text = await written('csv', events);
    const rows = parseCsv(text, { columns: true, record_delimiter: '\r\n' }) as Record<string, string>[];
    assert.is(rows.length, events.length);
    for (const [index, row] of rows.entries()) {
      const { seq, type, data, metadata } = events[index] as Event;
      assert.equal(
        [row['seq'], row['type'], JSON.parse(row['data'] as string)],
        [String(seq), type, JSON.parse(JSON.stringify(data))],
      );
      for (const name of ['principal', 'source', 'correlation_id', 'traceparent'] as const) {
        // What a file of text cannot hold is replaced with the encoding.
        const [cell = '', value] = [row[name], (metadata[name] ?? '').toWellFormed()];
        assert.ok(cell === value || cell === `'${value}`, JSON.stringify([name, cell, value]));
        assert.not.match(cell, FORMULA);
      }
    }
  });
});

test('json and ndjson: the very events', async () => {
  await always(async ({ events, head }) => {
    const same = JSON.parse(JSON.stringify(events)) as Event[];
    const document = JSON.parse(await written('json', events, head));
    assert.equal([document.events, document.session], [same, JSON.parse(JSON.stringify(head.session))]);
    const lines = (await written('ndjson', events, head)).split('\n');
    assert.is(lines.pop(), '');
    assert.equal(
      lines.map((line) => JSON.parse(line) as Event),
      same,
    );
  });
});

test('the page of a session loads nothing and runs nothing: its policy allows one style', async () => {
  const html = await written('html', []);
  const [, policy = ''] = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html) ?? [];
  assert.match(policy, /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'$/);
  assert.not.match(html, /<(script|link|iframe|object|img)|url\(|@import/);
});

test.run();
