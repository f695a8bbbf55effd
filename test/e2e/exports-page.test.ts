// limit: 120 s
import { accessSync, constants, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium, type Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ADA, EXE, headOf, logOf, written } from '../src/commands/export/log.ts';

/** The transcript of a session as a browser shows it, whatever was said in the session. */
const test = suite('the transcript in a browser');

/** Debian's; a test brings none of its own. */
const CHROMIUM = '/usr/bin/chromium';

const isInstalled = (): boolean => {
  try {
    accessSync(CHROMIUM, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

const GRACE = 'cli_01K0000000000000000000GGGG';
const OTHER = 'exe_01K0000000000000000000FFFF';
const ada = { principal: 'ada', client_id: ADA };
const grace = { principal: 'grace', client_id: GRACE };

const SCRIPT = "document.title='owned'";
const LONG = 'W'.repeat(2_000);
const HOSTILE = [
  `<img src=x onerror="${SCRIPT}">`,
  `</style></pre><script>${SCRIPT}</script>`,
  `<a href="javascript:${SCRIPT}">`,
  '<style>*{display:none}</style>',
  '<link rel=stylesheet href=http://127.0.0.1:9/x>',
  '<meta http-equiv=refresh content="0;url=http://127.0.0.1:9/">',
  '\u202Edekcart\u2066',
  LONG,
].join(' ');

const events = logOf([
  ['session_opened', { owner: HOSTILE }, ada],
  ['client_joined', { client_id: ADA, type: 'cli', name: HOSTILE, principal: 'ada' }, ada],
  ['client_joined', { client_id: GRACE, type: 'web', name: 'גרייס', principal: 'grace' }, grace],
  ['execution_queued', { execution_id: EXE, command: 'build', priority: 0, started_by: ada }, ada],
  ['execution_queued', { execution_id: OTHER, command: HOSTILE, priority: 0, started_by: grace }, grace],
  ['execution_progress', { execution_id: EXE, progress: 40, message: HOSTILE, metadata: {} }],
  ['execution_output', { execution_id: OTHER, stream: 'stderr', chunk: HOSTILE }],
  ['coordination_request', { coordination_id: 'crd_1', operation: 'deploy', description: HOSTILE }, ada],
  ['coordination_vote', { coordination_id: 'crd_1', vote: 'confirm', comment: HOSTILE }, grace],
  [
    'coordination_confirmed',
    { coordination_id: 'crd_1', operation: 'deploy', confirmations: [{ principal: 'grace', comment: HOSTILE }] },
  ],
  ['execution_failed', { execution_id: OTHER, error: { title: HOSTILE, detail: HOSTILE } }, { severity: 'error' }],
  ['execution_completed', { execution_id: EXE, result: { [HOSTILE]: HOSTILE } }],
  ['security_violation', { operation: 'shares.create', reason: HOSTILE }, { severity: 'warning', ...grace }],
]);

/** What a browser does with the page besides showing it. */
const watched = (page: Page): string[] => {
  const seen: string[] = [];
  page.on('request', (request) => void seen.push(`request ${request.url()}`));
  page.on('console', (message) => void seen.push(`console ${message.text()}`));
  page.on('pageerror', (error) => void seen.push(`error ${error.message}`));
  page.on('dialog', (dialog) => void seen.push(`dialog ${dialog.message()}`));
  return seen;
};

/**
 * The least contrast of any text with what is behind it (WCAG 2.2, 1.4.3). Runs in the browser, as text, since the types of
 * a page are not those of a server.
 */
const LEAST_CONTRAST = `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const canvas = matchMedia('(prefers-color-scheme: dark)').matches && !matchMedia('print').matches ? 'rgb(18, 18, 18)' : 'rgb(255, 255, 255)';
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return canvas;
  };
  return Math.min(...[...document.querySelectorAll('h1,h2,small,a,dt,dd,i,time,b,span,pre')].map((element) => {
    const [low, high] = [getComputedStyle(element).color, behind(element)].map(luminance).sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  }));
})()`;
const OVERFLOW = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';

test('it loads and runs nothing, says who did what, can be followed, and is readable in light, dark, narrow and print', async () => {
  if (!isInstalled()) {
    process.stdout.write(`# skip the transcript in a browser: ${CHROMIUM} is not installed\n`);
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), 'arbor-page-'));
  const file = join(directory, 'session.html');
  const url = pathToFileURL(file).href;
  writeFileSync(file, await written('html', events, headOf(events, HOSTILE)));
  // A container has neither namespaces for a sandbox nor much shared memory.
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
    timeout: 60_000,
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1_200, height: 800 } });
    page.setDefaultTimeout(30_000);
    const seen = watched(page);
    await page.goto(url);

    const rows = await page.locator('li').allTextContents();
    assert.is(rows.length, events.length);
    const row = (n: number): string => rows[n - 1] as string;
    assert.match(row(6), /40 %/);
    assert.match(row(5), /grace, גרייס[^]*asked for/);
    assert.match(row(9), /grace, גרייס[^]*voted confirm on crd_1/);
    assert.match(row(10), /The question deploy was confirmed for it: grace/);
    for (const n of [2, 7, 8, 9, 10, 12]) assert.ok(row(n).includes(`<script>${SCRIPT}</script>`), row(n));
    assert.is(await page.evaluate("document.querySelector('progress').position"), 0.4);
    assert.is(await page.locator('img, script, link, iframe, form, pre *').count(), 0);
    const colorOf = (element: string): Promise<string> =>
      page.evaluate(`getComputedStyle(document.querySelector('${element}')).color`);
    const [error, plain] = [await colorOf('.error span'), await colorOf('li:not([class]) span')];
    assert.is.not(error, plain, 'an error is seen');

    // From one part of an execution to its next one, and back.
    await page.locator('section.run').first().getByText('goes on').click();
    const target = page.locator('section:target');
    assert.match(await target.innerText(), /build, continued[^]*40 %/);
    assert.is(await page.evaluate("document.querySelector(':target').getBoundingClientRect().top < innerHeight"), true);
    await target.getByText('before').click();
    assert.match(await target.innerText(), /asked for build/);

    for (const [width, colorScheme, media] of [
      [1_200, 'light', 'screen'],
      [1_200, 'dark', 'screen'],
      [390, 'dark', 'screen'],
      [800, 'dark', 'print'],
    ] as const) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme, media });
      const name = `${colorScheme} ${media} at ${width}`;
      assert.ok((await page.evaluate<number>(OVERFLOW)) <= 0, `${name}: nothing stands out at the side`);
      const contrast = await page.evaluate<number>(LEAST_CONTRAST);
      assert.ok(contrast >= 4.5, `${name}: contrast ${contrast}`);
    }
    await page.emulateMedia({ media: 'print' });
    const hidden = "Math.max(...[...document.querySelectorAll('pre')].map((b) => b.scrollHeight - b.clientHeight))";
    assert.is(await page.evaluate(hidden), 0, 'all of a block is printed');
    assert.is((await page.pdf()).subarray(0, 5).toString(), '%PDF-');

    assert.is(await page.title(), `Session ${headOf(events).session.session_id}`);
    const visited = seen.filter((each) => each !== `request ${url}`);
    assert.equal(visited, []);
  } finally {
    await browser.close();
    rmSync(directory, { recursive: true, force: true });
  }
});

test.run();
