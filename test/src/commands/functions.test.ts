import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { FoundFunction } from '../../../src/commands/analyze/function-finder.ts';
import { languageOf } from '../../../src/commands/analyze/languages.ts';
import { createLineCounter, linesOf } from '../../../src/commands/analyze/line-counter.ts';

const find = (file: string, text: string): FoundFunction[] => {
  const language = languageOf(file, '');
  if (language === null) throw new Error(`no language for ${file}`);
  const found: FoundFunction[] = [];
  const counter = createLineCounter(language, (one) => found.push(one));
  for (const line of linesOf(text)) counter.line(line);
  counter.end();
  return found.toSorted((a, b) => a.line - b.line);
};

/** `name line+lines` of each. */
const shapes = (file: string, text: string): string[] =>
  find(file, text).map(({ name, line, lines }) => `${name} ${line}+${lines}`);

const test = suite('largest functions');

test('TypeScript and JavaScript', () => {
  const text = [
    "import { a } from 'b';",
    'export const create = async <T, U>({ a, b }: { a: number; b: string }, c = {}): Promise<{ x: T }> => {',
    "  const text = '} {';",
    '  if (a) { b(); } else { c(); }',
    '  items.map((item) => {',
    '    return { ...item };',
    '  });',
    '};',
    'class A extends mixin(B) {',
    '  static #private<T>(x: T): { y: T } {',
    '    return { y: x };',
    '  }',
    '  get value() { return 1; }',
    '  [Symbol.iterator]() {',
    '  }',
    '}',
    'export default function* named(',
    '  a,',
    ') {',
    '  switch (a) { case 1: { break; } default: {} }',
    '}',
    'const table = {',
    '  close: async () => {',
    '    done();',
    '  },',
    '  open(x) {',
    '  },',
    '  other: function () {},',
    '};',
    'const arrow = (x: number): Now => ({',
    '  x,',
    '});',
  ].join('\n');
  assert.equal(shapes('a.ts', text), [
    'create 2+7',
    '(anonymous) 5+3',
    '#private 10+3',
    'value 13+1',
    '[computed] 14+2',
    'named 17+5',
    'close 23+3',
    'open 26+2',
    'other 28+1',
  ]);
});

test('JavaScript without semicolons', () => {
  assert.equal(
    shapes('a.js', 'const a = 1\nconst b = () => {\n}\nlet c = d(1)\nfunction e() {\n  for (;;) {\n  }\n}\n'),
    ['b 2+2', 'e 5+4'],
  );
});

test('Go', () => {
  const text =
    'package a\ntype F func(int) int\ntype I interface {\n  M()\n}\nfunc (s *S) Run(\n  a int,\n) (int, error) {\n  go func() {\n  }()\n  return S{1}, nil\n}\nfunc G[T any](x T) T { return x }\n';
  assert.equal(shapes('a.go', text), ['Run 6+7', '(anonymous) 9+2', 'G 13+1']);
});

test('Rust, Kotlin, PHP, Swift', () => {
  assert.equal(
    shapes(
      'a.rs',
      "struct S { a: u8 }\nimpl<'a> S {\n  #[inline]\n  pub fn run<T: Fn()>(&'a self) -> Vec<T> {\n    match x { _ => {} }\n  }\n}\nfn main() {}\n",
    ),
    ['run 4+3', 'main 8+1'],
  );
  assert.equal(shapes('a.kt', 'fun a() = 1\nclass X {\n  fun String.b(): Int {\n  }\n}\n'), ['b 3+2']);
  assert.equal(shapes('a.php', '<?php\nfunction a($x) {\n  if ($x) {\n  }\n}\n'), ['a 2+4']);
  assert.equal(shapes('a.swift', 'struct A {\n  func b(_ c: Int) -> Int {\n  }\n}\n'), ['b 2+2']);
});

test('C, C++, Java, C#', () => {
  const c =
    '#define X {\nstruct s { int a; };\nstatic int\nadd(int a, int b)\n{\n  for (int i = 0; i < a; i++) {\n  }\n  return a;\n}\nint v[] = { 1, 2 };\n';
  assert.equal(shapes('a.c', c), ['add 4+6']);
  assert.equal(
    shapes('a.cpp', 'namespace n {\nFoo::Foo(int a) : a_(a) {\n}\nauto f = [](int x) -> int {\n};\n}\n')[0],
    'Foo::Foo 2+2',
  );
  const java =
    'class A {\n  @Override("x")\n  public <T> void run(int a) throws E {\n    while (true) {\n    }\n    new Thread() { public void go() {\n    } };\n  }\n}\n';
  assert.equal(shapes('A.java', java), ['run 3+6', 'go 6+2']);
  assert.equal(
    shapes('A.cs', 'class A {\n  int P { get; set; }\n  public int M(int a) {\n    if (a > 1) {\n    }\n  }\n}\n'),
    ['M 3+4'],
  );
});

test('Python', () => {
  const text =
    'class A:\n    def a(\n        self,\n    ):\n        x = """\ntext\n"""\n        def inner():\n            pass\n\n        return x\n\n# end\nasync def b(): pass\nc = 1\n';
  assert.equal(shapes('a.py', text), ['a 2+10', 'inner 8+2', 'b 14+1']);
});

test('Ruby', () => {
  const text = 'class A\n  def self.a(x)\n    if x\n    end\n  end\n\n  def b = 1\n  private def c?\n  end\nend\n';
  assert.equal(shapes('a.rb', text), ['self.a 2+4', 'b 7+1', 'c? 8+2']);
});

test('a function is inside its file, whatever the text', () => {
  const part = fc.constantFrom(
    '{',
    '}',
    '(',
    ')',
    '[',
    ']',
    ';',
    '\n',
    ' ',
    'function f',
    'f()',
    '=> ',
    '= ',
    'def f:',
    'end',
    'fn f',
    'func f()',
    ',',
    '"',
    '`',
    '${',
  );
  fc.assert(
    fc.property(
      fc.constantFrom('a.ts', 'a.py', 'a.go', 'a.rs', 'a.c', 'a.rb'),
      fc.array(part, { maxLength: 80 }),
      (file, parts) => {
        const text = parts.join('');
        const total = [...linesOf(text)].length;
        for (const { line, lines } of find(file, text)) {
          assert.ok(line >= 1 && lines >= 1 && line + lines - 1 <= total, `${line}+${lines} of ${total}`);
        }
      },
    ),
    { numRuns: 1_000 },
  );
});

test('deep nesting ends the search, not the count', () => {
  assert.equal(shapes('a.ts', `function f() {\n${'{'.repeat(5_000)}\n${'}'.repeat(5_001)}\n`), []);
});

test('a line above 64 KiB ends the search in its file, not the count', () => {
  assert.equal(shapes('a.ts', `function f() {\n}\nfunction g() {\nx = '${'y'.repeat(65_536)}';\n}\n`), ['f 1+2']);
});

test.run();
