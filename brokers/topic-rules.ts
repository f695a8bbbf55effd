/** What makes a topic or a filter valid (MQTT 3.1.1, 4.7), on both sides of the wire. */

/** More levels than anybody needs; deeper ones are refused, so that matching stays cheap. */
const MAX_LEVELS = 100;

const MAX_BYTES = 65_535;

const commonProblem = (text: string): string | null => {
  if (text.length === 0) return 'is empty [MQTT-4.7.3-1]';
  if (text.includes('\0')) return 'contains U+0000 [MQTT-4.7.3-2]';
  if (!text.isWellFormed()) return 'contains a lone surrogate [MQTT-1.5.3-1]';
  // A UTF-16 unit takes at most three bytes, so the short ones need no count.
  if (text.length * 3 > MAX_BYTES && Buffer.byteLength(text) > MAX_BYTES)
    return 'is longer than 65535 bytes [MQTT-4.7.3-3]';
  if (text.length >= MAX_LEVELS && text.split('/').length > MAX_LEVELS) return `has more than ${MAX_LEVELS} levels`;
  return null;
};

/** Why a text cannot be a topic; null where it can. */
export const topicProblem = (topic: string): string | null =>
  topic.includes('+') || topic.includes('#') ? 'contains a wildcard [MQTT-3.3.2-2]' : commonProblem(topic);

/** Why a text cannot be a topic filter; null where it can. */
export const filterProblem = (filter: string): string | null => {
  const problem = commonProblem(filter);
  if (problem !== null) return problem;
  const hash = filter.indexOf('#');
  if (hash !== -1 && (hash !== filter.length - 1 || (hash > 0 && filter[hash - 1] !== '/')))
    return 'has # elsewhere than as its last level [MQTT-4.7.1-2]';
  for (let plus = filter.indexOf('+'); plus !== -1; plus = filter.indexOf('+', plus + 1)) {
    const before = plus === 0 || filter[plus - 1] === '/';
    const after = plus === filter.length - 1 || filter[plus + 1] === '/';
    if (!before || !after) return 'has + beside other characters of its level [MQTT-4.7.1-3]';
  }
  return null;
};

/** The error that the Bus port promises for an invalid topic or filter. */
export const invalidName = (kind: 'topic' | 'filter', name: string, problem: string): RangeError =>
  new RangeError(`the ${kind} ${JSON.stringify(name.slice(0, 80))} ${problem}`);
