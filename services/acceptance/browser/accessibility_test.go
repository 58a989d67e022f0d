//go:build e2e

package browser_test

import (
	"encoding/json"
	"slices"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// requireAccessible checks what Chromium would tell a screen reader of the page, the order of headings, and the contrast in both themes.
func (p *profile) requireAccessible(page string) {
	p.t.Helper()
	tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	require.NoError(p.t, err)
	landmarks := map[string]int{}
	for _, node := range tree.Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role, name := text(node.Role), text(node.Name)
		landmarks[role]++
		if slices.Contains([]string{"button", "link", "textbox", "searchbox", "combobox", "checkbox", "img", "progressbar", "table", "navigation"}, role) {
			require.NotEmpty(p.t, name, "%s: each %s has a name", page, role)
		}
	}
	for _, role := range []string{"main", "banner", "navigation", "search"} {
		require.Equal(p.t, 1, landmarks[role], "%s has one %s", page, role)
	}
	levels := value[[]int](p, `[...document.querySelectorAll("h1,h2,h3,h4")].filter((h) => h.offsetParent).map((h) => Number(h.tagName[1]))`)
	require.Equal(p.t, 1, levels[0], "%s begins with its title", page)
	for i, level := range levels[1:] {
		require.LessOrEqual(p.t, level, levels[i]+1, "%s skips no level of headings", page)
		require.Greater(p.t, level, 1, "%s has one title", page)
	}
	require.Equal(p.t, "skip", value[string](p, `document.querySelector("a,button,input").className`), "%s: the first stop leads to the content", page)
	require.Empty(p.t, value[[]string](p, `[...document.querySelectorAll("[tabindex]")].filter((e) => e.tabIndex > 0).map((e) => e.outerHTML)`),
		"%s: the order of stops is that of the page", page)
	for _, theme := range []string{"light", "dark"} {
		low := value[[]string](p, `(() => { document.documentElement.dataset.theme = "`+theme+`"; return (`+contrasts+`)(); })()`)
		require.Empty(p.t, low, "%s, %s: each text has a contrast of 4.5 or more", page, theme)
	}
}

// text returns a value of the accessibility tree.
func text(of *accessibility.Value) string {
	if of == nil {
		return ""
	}
	var decoded string
	if json.Unmarshal(of.Value, &decoded) != nil {
		return ""
	}
	return decoded
}

// contrasts returns the visible texts whose contrast with what is behind them is below WCAG AA, with the ratio.
const contrasts = `() => {
  const parse = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
  const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const low = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.offsetParent || element.closest(".visually-hidden, .skip, script")) continue;
    const [one, other] = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) low.add(element.className + " <" + element.tagName + "> " + element.textContent.trim().slice(0, 30) + " " + ratio.toFixed(2));
  }
  return [...low];
}`
