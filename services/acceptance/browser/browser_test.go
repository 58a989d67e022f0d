//go:build e2e

package browser_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// profile is one browser profile: its cookies are its own.
type profile struct {
	t   *testing.T
	ctx context.Context // chromedp keeps the browser's tab in it

	mu       sync.Mutex
	problems []string // what the browser's console said
}

// newBrowser starts Chromium, and returns its first profile.
func newBrowser(t *testing.T) *profile {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.WindowSize(1300, 900))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses its sandbox to root
	}
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	return (&profile{t: t, ctx: ctx}).listen()
}

// another returns another profile of the same browser.
func (p *profile) another() *profile {
	p.t.Helper()
	ctx, cancel := chromedp.NewContext(p.ctx, chromedp.WithNewBrowserContext())
	p.t.Cleanup(cancel)
	return (&profile{t: p.t, ctx: ctx}).listen()
}

// listen collects what the browser's console says.
func (p *profile) listen() *profile {
	p.t.Helper()
	require.NoError(p.t, chromedp.Listen(p.ctx, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch said := event.(type) {
		case *runtime.EventExceptionThrown:
			p.problems = append(p.problems, said.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			// An answer such as 404 is part of a test; a blocked script or style is not.
			if said.Entry.Level == log.EntryLevelError && said.Entry.Source != log.EntrySourceNetwork {
				p.problems = append(p.problems, said.Entry.Text)
			}
		}
	}))
	_, err := chromedp.Call(p.ctx, log.Enable, cdp.Empty{})
	require.NoError(p.t, err)
	return p
}

// requireQuiet fails if the browser's console said anything.
func (p *profile) requireQuiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(p.t, p.problems, "the browser's console is empty")
}

// read runs an action that has a value.
func read[T any](p *profile, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, soon)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		shown, done := context.WithTimeout(p.ctx, 5*time.Second)
		defer done()
		text, failure := chromedp.Run(shown, chromedp.Text(chromedp.CSS("body")))
		require.NoError(p.t, errors.Join(err, failure), "the page shows: %s", text)
	}
	return result
}

func (p *profile) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	read(p, chromedp.Steps(actions...))
}

// open goes to a page and waits until it is there.
func (p *profile) open(address string) {
	p.t.Helper()
	p.run(chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS("main")))
}

// leave does what leads to another page, and waits until that is there.
func (p *profile) leave(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, soon)
	defer cancel()
	_, err := chromedp.RunResponse(ctx, actions...)
	require.NoError(p.t, err)
}

// press clicks on what a selector finds, and waits until another page is there.
func (p *profile) press(selector string) {
	p.t.Helper()
	p.leave(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// main returns the text of the page's main part.
func (p *profile) main() string {
	p.t.Helper()
	return strings.Join(strings.Fields(read(p, chromedp.Text(chromedp.CSS("main")))), " ")
}

func (p *profile) at() string {
	p.t.Helper()
	return read(p, chromedp.Location())
}

// see waits until the main part has a text.
func (p *profile) see(text string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return strings.Contains(p.main(), text) }, longest, 200*time.Millisecond, "%q is shown", text)
}

// value evaluates an expression.
func value[T any](p *profile, expression string) T {
	p.t.Helper()
	return read(p, chromedp.Evaluate[T](expression))
}
