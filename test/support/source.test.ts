import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maskSource } from './source.ts';

const test = suite('source');

const code = (source: string): string => maskSource(source, { strings: true }).replace(/\s+/g, ' ').trim();

test('blanks comments and keeps strings, lines and columns', () => {
  const source = "a(); // b()\n/* c()\n */ d('// e');";
  assert.is(maskSource(source, { strings: false }), "a();       \n      \n    d('// e');");
});

test('blanks the text of strings with escapes and of regular expressions with quotes', () => {
  assert.is(code(String.raw`a('x\'y', "z'") + b`), 'a( , ) + b');
  assert.is(code(String.raw`a(/['"/\]]/) + b / c / d`), 'a( ) + b / c / d');
});

test('keeps the code inside a template, nested ones and objects too', () => {
  assert.is(code('`now ${Date.now()} then`; a'), 'Date.now() ; a');
  assert.is(code('`x ${f({ a: `y ${g()} z` })} w`; b'), 'f({ a: g() }) ; b');
});

test('takes a string left open for closed at the end of its line', () => {
  assert.is(code("it's\nfetch()"), 'it fetch()');
});

test.run();
