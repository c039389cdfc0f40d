"""Scripts of components: those that the compilers of Vue, Svelte and Astro take for scripts."""

import pytest

from gateway.contract.operations.components import find_scripts


@pytest.mark.parametrize(
    ("suffix", "source", "scripts"),
    [
        (".vue", '<template><i title="<script>">x</i></template>\n<script>a</script>', ["a"]),
        (".vue", '<script>a</script>\n<i18n>{"a": "<script>x"}</i18n>\n<script setup>b</script>', ["a", "b"]),
        (".vue", "<docs>\n# It's <script> and <style>\n</docs><script>a</script>", ["a"]),
        (".vue", "<template><p v-if=\"a > 1\">{{ a <b && 'it' }}</p><template #x>`</template></template>"
         "<script>a</script>", ["a"]),
        (".vue", "<template lang=\"pug\">\np <script> '\n</template><script>a</script>", ["a"]),
        (".vue", "<template><template v-for='a in b' /><!-- </template> --></template><script>a</script>", ["a"]),
        (".vue", "<template>\n<my-script a='</template>'/></template><script>const a = '<script>';</script >",
         ["const a = '<script>';"]),
        (".vue", "<template src='a.html' /><script>a</script><style>a::before { content: '<script>' }</style>", ["a"]),
        (".vue", "<script generic=\"T extends A<'b'>\">a</script>", ["a"]),
        (".vue", "<template><p>", []),
        (".svelte", "<script module>a</script><i title='<script>'>{a < b}</i>\n<script>b</script>", ["a", "b"]),
        (".svelte", "<p>it's 1 < 2</p><script generics='T extends A<B>'>a</script><b a={x > 1}>'</b>", ["a"]),
        (".astro", "---\nconst a = '---';\n---\n<p a=\"<script>\">it's</p><script>b</script>", ["const a = '---';\n", "b"]),
    ],
)  # fmt: skip
def test_scripts_are_those_of_the_compiler(suffix: str, source: str, scripts: list[str]) -> None:
    assert [source[each.start : each.end] for each in find_scripts(source, suffix)] == scripts
