/**
 * What must not be in a document that others wrote into: control characters but tab and line feed, and those that turn
 * the direction of the text around them, by which a text can look like another (Unicode UTS #55).
 */
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const REFUSED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]/g;

/** Text of others as it may stand in a document: well-formed Unicode, what could do harm replaced by U+FFFD. */
export const safeText = (text: string): string =>
  text.replace(/\r\n?/g, '\n').toWellFormed().replace(REFUSED, '\u{fffd}');
