/** Control characters but tab and line feed: what others wrote must not move the cursor or set colours. */
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Text of others as it may be shown in a terminal. */
export const printable = (text: string): string => text.replace(CONTROL, '\u{fffd}');

/** On one line, at most `width` characters. */
export const oneLine = (text: string, width: number): string => {
  const line = printable(text).replace(/\s+/g, ' ').trim();
  return line.length > width ? `${line.slice(0, Math.max(0, width - 1))}…` : line;
};
