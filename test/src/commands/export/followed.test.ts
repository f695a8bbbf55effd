import fc from 'fast-check';
import { parseFragment, type DefaultTreeAdapterMap } from 'parse5';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { headOf, logOf, written, type Told } from './log.ts';

/** Executions that run beside one another are in pieces in a transcript by time: each can be followed from piece to piece. */
const test = suite('following an execution');

type Node = DefaultTreeAdapterMap['node'];
type Element = DefaultTreeAdapterMap['element'];

const allIn = (node: Node, tag: string): Element[] =>
  'childNodes' in node
    ? node.childNodes.flatMap((child) => [
        ...('tagName' in child && child.tagName === tag ? [child] : []),
        ...allIn(child, tag),
      ])
    : [];
const textOf = (node: Node): string =>
  'childNodes' in node ? node.childNodes.map(textOf).join('') : 'value' in node ? node.value : '';
const attribute = ({ attrs }: Element, wanted: string): string =>
  attrs.find(({ name }) => name === wanted)?.value ?? '';

/** The sections of a page: which events are in them, and where their links lead by the links' texts. */
const sectionsOf = (html: string) =>
  allIn(parseFragment(html.slice(html.indexOf('<main>'))), 'section').map((section) => ({
    id: attribute(section, 'id'),
    head: allIn(section, 'h2').map(textOf).join(''),
    seqs: allIn(section, 'i').map((each) => Number(textOf(each))),
    links: new Map(allIn(section, 'a').map((link) => [textOf(link), attribute(link, 'href').slice(1)])),
  }));

/** Steps of several executions, mixed; who has ended says nothing more. */
const log = fc.array(fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 9 })), { maxLength: 60 }).map((steps) => {
  const ended = new Set<number>();
  const begun = new Set<number>();
  return steps
    .filter(([run, step]) => !ended.has(run) && (step > 0 || ended.add(run)))
    .map(([run, step]): readonly [number, Told] => {
      const execution_id = `exe_${run}`;
      if (!begun.has(run)) {
        begun.add(run);
        // Of some the beginning is not in the export.
        if (run !== 3 && step > 0) return [run, ['execution_queued', { execution_id, command: `c${run}` }]];
      }
      if (step === 0) return [run, ['execution_completed', { execution_id }]];
      return [run, ['execution_progress', { execution_id, progress: step }]];
    });
});

test('from its first piece through all of its events to its end, and back', async () => {
  await fc.assert(
    fc.asyncProperty(log, fc.integer({ min: 1, max: 9 }), async (told, part) => {
      const events = logOf(told.map(([, each]) => each));
      const sections = sectionsOf(await written('html', events, headOf(events), part));
      const byId = new Map(sections.map((section) => [section.id, section]));
      for (const run of new Set(told.map(([each]) => each))) {
        const wanted = told.flatMap(([each], index) => (each === run ? [index + 1] : []));
        const first = sections.find(({ seqs }) => seqs.includes(wanted[0] as number));
        const path = [first];
        for (let next = first?.links.get('goes on'); next !== undefined; next = byId.get(next)?.links.get('goes on'))
          path.push(byId.get(next));
        assert.equal(
          path.flatMap((section) => section?.seqs ?? []),
          wanted,
        );
        for (const [index, section] of path.entries()) {
          assert.is(section?.links.get('before'), path[index - 1]?.id);
          assert.is(section?.links.get('first'), index > 1 ? first?.id : undefined);
          assert.is(/, (continued|not over here) /.test(section?.head ?? ''), index > 0);
        }
        const isOver = told.some(([each, [type]]) => each === run && type === 'execution_completed');
        assert.is(/not over here/.test(path.at(-1)?.head ?? ''), !isOver);
      }
      for (const format of ['markdown', 'html'] as const) {
        const some = { ...headOf(events), types: ['execution_queued'] };
        assert.not.match(await written(format, events, some), /goes on|not over here/);
      }
    }),
    { numRuns: 100 },
  );
});

test.run();
