package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/vomo"
)

// pagesUnderWay is how many pages are written or committed at once, so that neither the destination nor Postgres
// waits for the other.
const pagesUnderWay = 2

// pipeline writes pages side by side and commits them one after the other, in order: the cursor never passes a page
// that is not committed. What a crash leaves to be written again, which changes nothing, are pagesUnderWay pages
// instead of one. It is used by one goroutine.
type pipeline struct {
	write  func(ctx context.Context, page vomo.Page) (*mirror.WrittenPage, error)
	commit func(ctx context.Context, page vomo.Page, written *mirror.WrittenPage) error

	begun bool
	under []*flight // in order
}

var errPanicked = errors.New("the page's goroutine panicked")

// flight is a page that is being written or committed.
type flight struct {
	users map[string]bool
	ended chan struct{}
	err   error // once ended
}

// next begins to write and commit a page, once there is room for it. Its error is that of an earlier page, where
// one failed; the page is then left alone.
func (p *pipeline) next(ctx context.Context, page vomo.Page) error {
	users := usersOf(page)
	// Users are compared with what is committed: one who stands on two pages at once would be written, and
	// audited, twice.
	room := pagesUnderWay - 1
	if p.shares(users) {
		room = 0
	}
	if err := p.waitFor(room); err != nil {
		return err
	}
	f := &flight{users: users, ended: make(chan struct{})}
	var before *flight
	if len(p.under) > 0 {
		before = p.under[len(p.under)-1]
	}
	p.under = append(p.under, f)
	go func() {
		defer close(f.ended)
		defer func() {
			// One page must not end the process, and the work of other customers with it. Nor is it tried for ever: the
			// claim counts.
			if caught := recover(); caught != nil {
				f.err = fmt.Errorf("%w: %v\n%s", errPanicked, caught, debug.Stack())
			}
		}()
		f.err = p.bring(ctx, page, before)
	}()
	if p.begun {
		return nil
	}
	// The first page goes alone: it finds out whether the destination works.
	p.begun = true
	return p.waitFor(0)
}

// bring writes a page and commits it after the one before. A failure of the one before stands for its own.
func (p *pipeline) bring(ctx context.Context, page vomo.Page, before *flight) error {
	written, err := p.write(ctx, page)
	if before != nil {
		<-before.ended
		if before.err != nil {
			return before.err
		}
	}
	if err != nil {
		return err
	}
	return p.commit(ctx, page, written)
}

// wait waits until no page is under way any more, and says what became of the first that failed.
func (p *pipeline) wait() error { return p.waitFor(0) }

// waitFor waits until at most that many pages are under way. After a failure it waits for all: none is left.
func (p *pipeline) waitFor(pages int) error {
	for len(p.under) > pages {
		first := p.under[0]
		<-first.ended
		p.under = p.under[1:]
		if first.err != nil {
			for _, f := range p.under {
				<-f.ended
			}
			p.under = nil
			return first.err
		}
	}
	return nil
}

func (p *pipeline) shares(users map[string]bool) bool {
	for _, f := range p.under {
		for user := range users {
			if f.users[user] {
				return true
			}
		}
	}
	return false
}

func usersOf(page vomo.Page) map[string]bool {
	users := make(map[string]bool, len(page.Users)+len(page.Bad))
	for _, user := range page.Users {
		users[user.ID] = true
	}
	for _, bad := range page.Bad {
		users[bad.ID] = true
	}
	return users
}
