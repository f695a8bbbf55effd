import type { Format } from './format.ts';
import { createTally, factsOf, groupsOf, type Group } from './group.ts';
import type { Entry } from './entry.ts';
import { safeText } from './safe-text.ts';

/**
 * Every ASCII punctuation character may be escaped (CommonMark, 2.4). Those are that mean something inside a line, and `:`
 * and `@`, by which addresses become links in GitHub's dialect; what means something at the beginning of a line never is there.
 */
const MEANING = /[\\`*_{}[\]<>()#|~&$^=:@!]/g;
/** What GitHub's dialect makes a link without a scheme. */
const WWW = /www(?=\.)/gi;

/** Text of others inside a line. */
const escape = (text: string): string =>
  safeText(text)
    .replace(/\s+/g, ' ')
    .trim()
    .replace(MEANING, '\\$&')
    .replace(WWW, (www) => `${www}\\`);

/** Text of several lines, which no fence in it can end (CommonMark, 4.5), inside an item of a list. */
const block = (text: string): string => {
  const safe = safeText(text);
  const longest = Math.max(2, ...[...safe.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const lines = safe.replace(/\n$/, '').split('\n');
  return [`${fence}text`, ...lines, fence].map((line) => `  ${line}\n`).join('');
};

const entryMarkdown = ({ seq, time, severity, who, what, block: lines }: Entry): string => {
  const mark = severity === 'warning' || severity === 'error' ? `**${severity}** ` : '';
  const by = who === null ? '' : `**${escape(who)}** `;
  const more = lines === null ? '' : `\n${block(lines)}\n`;
  return `- \`${seq}\` ${time} ${mark}${by}${escape(what)}\n${more}`;
};

const headOf = ({ run, part, entries }: Group): string => {
  if (run === null) return '## Session\n\n';
  const by = run.by === null ? '' : ` for ${escape(run.by)}`;
  const again = part === 1 ? '' : entries.length > 0 ? ', continued' : ', not over here';
  return `## ${escape(run.command ?? 'execution')} — ${escape(run.id)}${by}${again}\n\n`;
};

const table = (head: readonly [string, string], rows: readonly (readonly [string, string | number])[]): string =>
  [head, ['---', '---'] as const, ...rows.map(([name, value]) => [escape(name), escape(String(value))] as const)]
    .map(([name, value]) => `| ${name} | ${value} |\n`)
    .join('');

/** A transcript by time, put together by execution. */
export const markdown: Format = {
  mediaType: 'text/markdown; charset=utf-8',
  write: async function* (head, pages) {
    yield `# Session ${escape(head.session.session_id)}\n\n${table(['What', 'Value'], factsOf(head))}\n`;
    const tally = createTally();
    for await (const group of groupsOf(head, pages, tally.add))
      yield `${headOf(group)}${group.entries.map(entryMarkdown).join('')}${group.entries.length > 0 ? '\n' : ''}`;
    yield `## ${tally.total()} events, complete\n\n${table(['Type', 'Events'], tally.all())}`;
  },
};
