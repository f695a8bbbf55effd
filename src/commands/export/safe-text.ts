/**
 * What must not be in a document that others wrote into: control characters but tab and line feed, what is no character,
 * and those that turn the direction of the text around them, by which a text can look like another (Unicode UTS #55).
 */
const REFUSED = /(?![\t\n])[\p{Cc}\u202a-\u202e\u2066-\u2069\ufeff\p{Noncharacter_Code_Point}]/gu;

/** Text of others as it may stand in a document: well-formed Unicode, what could do harm replaced by U+FFFD. */
export const safeText = (text: string): string =>
  text.replace(/\r\n?/g, '\n').toWellFormed().replace(REFUSED, '\u{fffd}');
