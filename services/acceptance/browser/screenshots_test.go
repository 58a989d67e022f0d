//go:build e2e && long

package browser_test

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// takeScreenshots writes a picture of each page in both themes and two widths into the folder that ROLLCALL_SCREENSHOTS names.
func takeScreenshots(s *stack, p *profile) {
	s.t.Helper()
	folder := os.Getenv("ROLLCALL_SCREENSHOTS")
	if folder == "" {
		return
	}
	require.NoError(s.t, os.MkdirAll(folder, 0o750))
	for _, path := range everyPage {
		p.open(s.console + path)
		for _, theme := range []string{"light", "dark"} {
			for name, width := range map[string]int64{"wide": 1300, "narrow": 400} {
				p.run(chromedp.EmulateViewport(width, 900))
				value[string](p, `document.documentElement.dataset.theme = "`+theme+`"`)
				picture := read(p, chromedp.FullScreenshot(100))
				page := strings.Trim(strings.NewReplacer("/", "-", "?", "-", "=", "-", "&", "-").Replace(path), "-")
				require.NoError(s.t, os.WriteFile(filepath.Join(folder, page+"-"+theme+"-"+name+".png"), picture, 0o600))
			}
		}
		p.run(chromedp.EmulateViewport(1300, 900))
	}
}
