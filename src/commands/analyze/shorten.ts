/** The text, or `…` and as much of its end as fits into `maxBytes` of JSON (with escapes, in UTF-8, without quotes). */
export const shorten = (text: string, maxBytes: number): string => {
  const bytesOf = (part: string): number => Buffer.byteLength(JSON.stringify(part)) - 2;
  // A character is at least a byte, so nothing longer has to be looked at.
  if (text.length <= maxBytes && bytesOf(text) <= maxBytes) return text;
  const end = Array.from(text.slice(-maxBytes));
  let kept = '';
  let bytes = bytesOf('…');
  for (let i = end.length - 1; i >= 0; i--) {
    bytes += bytesOf(end[i] as string);
    if (bytes > maxBytes) break;
    kept = end[i] + kept;
  }
  return `…${kept}`;
};
