"""Tricky pieces of JavaScript and TypeScript, hand-written and generated, for comparison with a reference parser."""

import random
from itertools import product
from typing import Literal, NamedTuple

Language = Literal["js", "ts", "tsx"]


class Snippet(NamedTuple):
    """A source with its language."""

    source: str
    language: Language


_BEFORE_ANYWHERE = """\
const r = /`/;
const r = /[/`]/g, s = /\\/`/u;
if (x.match(/it's `/)) y();
const f = () => { return /`/.test(x) ? 1 : b };
a.replace(/[`'"]/g, '').replace(/>/, `x`);
const a = b / c; const d = `${e}` / 2;
a = b++ / 2; c = `${d}` / 3;
a = (b) / 2 + `/`;
a = b[0] / 2 + `/`;
a = x ? /`/ : /'/;
if (!value) /["`]/.test(other) && report(other);
if (a) { b(); } /`/.test(c) && d();
for (const a of b) /`/.test(a);
while (x) /'`/g.exec(y);
do { a } while (b) /`/.test(c);
label: { a(); } /`/.test(b);
function f() {} /`/.test(c);
class A {} /`/.test(c);
const o = { if: 1 }.if / 2, p = `${q}/`;
const o = {} / 2, p = `/`;
const f = function () {} / `/`;
const t = `a ${ { b: `}` }.b } c`;
const t = `${`${`${1}`}`}`;
const t = `\\`` + `\\${` + `$` + `$$`;
const t = tag`\\u{41}\\x41`;
const s = 'it\\'s `' + "a \\" ` b";
const s = 'a\\
`b';
// it's `
/* it's ` */ /**/ /* ** // */
x = a < b; y = c > `d`;
x = a <b && c> `d`;
a ||= /`/; b &&= /`/; c ??= /`/;
x = a?.b / 2 + `/`; y = a?.[0] / 2; z = a?.() / 2;
x = typeof /`/; y = void /`/; delete /`/.a;
const f = async () => { await /`/; };
function* g() { yield /`/; yield* /`/; }
switch (a) { case /`/: b(); default: /`/.test(c); }
throw /`/;
export default /`/;
const x = y ? `a` : z ? `b` : /`/;
const { a = `x`, b: { c = /`/ } = {} } = d;
class A { b = /`/; static c = `d`; static { e = /`/; } #f = `g`; get h() { return /`/; } }
let async = 1; async / 2 + `/`;
let of = 1; of / 2 + `/`;
const get = 1, set = 2; get / set + `/`;
x = this / 2 + `/`; y = super_ / 2;
x = null / 1 + `/`; y = true / `/`;
const big = 1_000n / 2n, hex = 0xff / 1, str = `${.5 / 1.}`;
const re = /(?<a>`)\\k<a>/v, r2 = /[\\]`]/, r3 = /\\[`/;
import a from 'b`'; import { c as d } from "e`"; export * from 'f`';
export { a as b }; export const g = `h`;
import json from './a.json' with { type: 'json' };
const m = import.meta.url / 2 + `/`; const i = import(`./a`);
a = b
/c/g
a = b
++c; `/`
a: for (;;) { break a; } /`/.test(b);
if (a) ; else /`/.test(b);
x = (a, /`/); y = [/`/, `/`]; z = {a: /`/, [`b`]: `c`, ...d};
new A / 2 + `/`; new A(`b`) / 2;
x = a ** /`/.length; y = !/`/.test(a); z = -/`/.x; w = ~/`/.x;
x => /`/; (x) => `/`; async x => /`/;
const e = "</script>`", h = '<!-- `';
const u = "\\u2028`", v = 'é`😀', w = `ü${'ß`'}😀`;
var \\u0061bc = `x`, ünï = /`/, $_ = `y`;
@dec(`a`) class B { @dec(/`/) c() {} }
try { a(); } catch { /`/.test(b); } finally { `c`; }
debugger; /`/.test(a);
x = a in /`/; y = a instanceof /`/;
x = y?.5:`z`;
a?.b`c`;
f`a``b`; f()`c`; f.g`d`; new f`e`;
"""

_BEFORE_TYPES = """\
const label = `${done! / 60}/${total! / 60} min`;
const r = a! / b, s = `${a}/${b}`;
const half = width! / 2; const label = `half is ${half / 1}`;
const h = a?.b! / 2, s = `${a?.b! / 2}`;
const a = b as any / 2;
const a = (b as number) / 2, c = `${(d as number) / 2}`;
const t = `a${b satisfies C}/`;
type A = `${B}/${C}`;
type A<T> = T extends `${infer U}/${infer V}` ? `${U}` : never;
const f = <T extends object>(x: T): T => x; const s = `it's`;
const f: <T>(x: T) => string = (x) => `${x}`;
f<T>(`x`); const y = z as Map<string, 'a`'>;
f<T>`x`;
let x: Array<Array<Array<string>>> = []; let y = `/`;
let x: A<B>= c; let y = `/`;
interface A { b: '`'; c?: `d${string}`; (e: string): `f`; }
enum E { A = '`', B = `b`, C = 1 / 2 }
declare module 'a`' { export const b: `c`; }
namespace N { export const a = /`/; }
abstract class A<T> extends B<T> implements C { private readonly d = `e`; constructor(public f = `g`) { super(); } }
function assert(x: unknown): asserts x is string { return /`/.test(x) as never; }
function over(a: string): void; function over(a: any) { `b`; }
const x = a!.b!.c![0]! / 2 + `/`;
const x = a! + `/`; const y = a!; /`/.test(y);
export type { A } from 'b`'; import type { C } from 'd`'; import { type E } from 'f';
let x = y satisfies Z; /`/.test(x);
type F = { [K in keyof G as `get${K}`]: () => G[K] };
let tuple: [a: string, b?: `c`, ...d: string[]] = e;
const x = <const T,>(a: T) => `b`;
type G = typeof import('a`'); type H = A['b`']; type I = unique_;
let v: (new () => `a`) | (abstract new () => `b`) = c;
export = a; import b = require('c`');
let x = a < b || c > (`d`);
const u = y as unknown as `z`;
class A { declare b: `c`; override d = `e`; accessor f = `g`; static #h?: `i`; j!: `k`; [l: string]: `m`; }
for (const a of b as C[]) /`/.test(a);
if (a! < b) { c(`d`); }
const z = a! && /`/.test(b);
function f(this: A, b?: `c`): b is `c` { return true; }
let g: A.B<`c`> | null = d / 2;
const x = y?.z!.w / 2 + `/`;
"""

_BEFORE_JSX = """\
const a = <p>Don't</p>;
const a = <p>it's `quoted</p>;
const a = <a href='http://x/y'>http://x/y</a>;
const a = <p>Accept: */* and /* too // `</p>;
const a = <><b>1/2</b>{`a/${b}`} / <i/> don't</>;
const a = <b title="it's `" t='"`'>x</b>;
const f = () => <div>{/* don't ` */}{list.map((x) => <li key={x}>{x}'s `</li>)}</div>;
const a = b && <A.B c:d='`' {...e}>{f}</A.B>;
const a = <div // it's `
>'</div>;
const a = <p>{a}/{b}</p>, c = `x/y`;
const f = () => <Foo render={() => <p>it's</p>} />;
const a = <p>{a ? <b>`</b> : <i>'</i>}</p>;
const a = <p>{`${<b>{`c`}</b>}`}</p>;
const a = <p>&nbsp;&lt;`</p>;
const a = <p
  /* ` */ b="c"
>`</p>;
const a = <p>{}</p>; const b = <p>{/* ` */}</p>;
const a = <p>gql`no` and graphql(`no`)</p>;
const a = <T_ b={<i>`</i>}>`</T_>;
const a = x < y ? <p>`</p> : <b/>;
const a = <p>a {'>'} b `</p>;
const a = <A b={`c`} d={/`/} e={'`'}/>;
const a = <p>{"`"}{'`'} text ' text " text</p>;
return_(<div>// `</div>);
const a = <svg:path d="M0 0`"/>;
const a = <p>
  `line
</p>;
"""

_WAYS = """\
gql`{ a }`
const Q = gql`query A { b }`;
export const Q = gql `{ a }`;
const Q = gql
  `{ a }`;
gql /* why */ `{ a }`;
// The row's data.
gql`{ a }`;
gql(`{ a }`);
gql((`{ a }`));
gql(
  // why `
  `{ a }`,
);
graphql(`{ a }`, [A, B]);
graphql(/* GraphQL */ `{ a }`);
const q = /* GraphQL */ `{ a }`;
f(/*graphql*/ `{ a }`, /* GraphQL */ "{ b }");
const Q = `#graphql
{ a }`;
gql('{ a }'); gql("{ b }");
useQuery(
  // The row's data.
  gql`{ a }`, { variables: { a: 1 / 2 } });
x = { ...gql`{ a }`, b: gql(`{ c }`), [gql`{ d }`]: 1 };
x = [gql`{ a }`, , gql`{ b }`];
const f = async () => await gql`{ a }`;
x = a ? gql`{ a }` : graphql`{ b }`;
class A { static q = gql`{ a }`; r = graphql(`{ b }`); }
x = `a ${gql`{ b ${`c`} }`} d ${e}`;
x = gql`a ${b} ${gql`c`} ${`d`}`;
gql`a \\`b\\` \\${c} \\\\`;
export default gql`{ a }`;
const f = () => gql`{ a }`;
function f() { return gql`{ a }`; }
x = (gql`{ a }`);
!gql`{ a }`, void graphql`{ b }`;
x = y || gql`{ a }` || z;
this.#graphql`no`; a.gql`no`; a?.graphql(`no`); a.b . gql(`no`);
mygql`no`; gqlx`no`; $gql`no`; gql2`no`;
gql(QUERY, `no`); graphql({ source: `no` }); graphql(schema, `no`);
const s = 'gql`no`', t = "graphql(`no`)", u = `gql\\`no\\``;
/* gql`no` */ // gql`no`
const r = /gql`[`]/;
gql`é ${ü} 😀`; gql(`😀`);
new gql(`no`); gql.experimental(`no`); gql[`no`]; gql, `no`;
gql; (`no`);
let gql_ = gql, g = `no`;
gql``;
gql`a`.b; gql(`c`).d; gql`e`[0];
/* GraphQL is nice */ `no`;
"""

_WAYS_WITH_TYPES = """\
gql<Data>`{ a }`;
gql<Data, Variables>`{ a }`;
gql<Data, { id: string; on?: boolean }>`{ a }`;
gql<A<B<C>>, D>(`{ a }`);
graphql<Query>(/* GraphQL */ `{ a }`);
gql<(a: string) => void>(`{ a }`);
gql<{ a: `b`; c: 'd' }>`{ e }`;
const Q: TypedDocumentNode<A, B> = gql`{ a }`;
const Q = gql`{ a }` as TypedDocumentNode<A, { b: string }>;
const Q = gql(`{ a }`)!;
const Q = <A>(b: A) => gql`{ c }`;
"""


def _joined(text: str) -> list[str]:
    """Split into snippets: a line each, and lines that only make sense together."""
    found: list[str] = []
    for line in filter(None, text.split("\n")):
        is_rest = found and (line[0] in " )}`>" or line.startswith(("</", "/c/g", "++c", "{ a }`")))
        is_open = found and (found[-1].endswith(("\\", "gql")) or found[-1].startswith("//"))
        if is_rest or is_open:
            found[-1] += "\n" + line
        else:
            found.append(line)
    return found


def snippets() -> list[Snippet]:
    """Return all of them, the same at each call."""
    before_anywhere, before_types, before_jsx = map(_joined, (_BEFORE_ANYWHERE, _BEFORE_TYPES, _BEFORE_JSX))
    ways, ways_with_types = _joined(_WAYS), _joined(_WAYS_WITH_TYPES)
    languages: list[tuple[Language, list[str], list[str]]] = [
        ("js", before_anywhere + before_jsx, ways),
        ("ts", before_anywhere + before_types, ways + ways_with_types),
        ("tsx", before_anywhere + before_types + before_jsx, ways + ways_with_types),
    ]
    found: list[Snippet] = []
    chosen = random.Random(11)
    for language, before, after in languages:
        found += [Snippet(f"{each}\ngql`{{ last }}`;\n", language) for each in before]
        found += [Snippet(each, language) for each in after]
        pairs = list(product(before, after))
        found += [Snippet(f"{first}\n{second}\n", language) for first, second in chosen.sample(pairs, 150)]
        for _ in range(150):
            lines = chosen.sample(before, 3) + chosen.sample(after, 2)
            chosen.shuffle(lines)
            body = "\n".join(lines)
            found.append(Snippet(body.replace("\n", "\r\n") if chosen.random() < 0.2 else body, language))
    return found
