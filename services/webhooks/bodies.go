package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// bodies bounds how many bodies are in memory, of all customers, of each, and of all names that are no customer's. A place is taken before
// the signature can be checked, so slow senders without a secret can keep only the places of the customers whose names they know, and
// those that invented names share.
type bodies struct {
	all     chan struct{}
	unknown chan struct{}
	each    int
	wait    time.Duration // for a place

	mu         sync.Mutex
	byCustomer map[string]*customerBodies
}

type customerBodies struct {
	places chan struct{}
	users  int // that have a place, or wait for one
}

func newBodies(all, unknown, each int, wait time.Duration) *bodies {
	return &bodies{
		all: make(chan struct{}, all), unknown: make(chan struct{}, unknown), each: each, wait: wait, byCustomer: map[string]*customerBodies{},
	}
}

var (
	errNoPlace = errors.New("there is no place for the body")
	// errNotRead means that a body of an invented name is not kept. Its answer is the one that the body would get.
	errNotRead = errors.New("there is no place for a body that cannot be accepted")
)

// take waits for a place: errNoPlace or errNotRead if there was none in time. Otherwise the caller calls release.
func (b *bodies) take(ctx context.Context, customer string, isKnown bool) (release func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, b.wait)
	defer cancel()
	own := b.enter(customer)
	taken := []chan struct{}{}
	release = func() {
		for _, places := range taken {
			<-places
		}
		b.leave(customer, own)
	}
	wanted := []wantedPlace{{own.places, errNoPlace}, {b.unknown, errNotRead}, {b.all, errNoPlace}}
	if isKnown {
		wanted = slices.Delete(wanted, 1, 2)
	}
	for _, one := range wanted {
		if !takePlace(waiting, one.among) {
			release()
			return nil, one.otherwise
		}
		taken = append(taken, one.among)
	}
	return release, nil
}

type wantedPlace struct {
	among     chan struct{}
	otherwise error
}

func takePlace(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	default: // a free place is taken, whatever time is left
	}
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (b *bodies) enter(customer string) *customerBodies {
	b.mu.Lock()
	defer b.mu.Unlock()
	own, known := b.byCustomer[customer]
	if !known {
		own = &customerBodies{places: make(chan struct{}, b.each)}
		b.byCustomer[customer] = own
	}
	own.users++
	return own
}

func (b *bodies) leave(customer string, own *customerBodies) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(b.byCustomer, customer)
	}
}
