package main

import (
	"context"
	"sync"
	"time"
)

// bodies bounds how many bodies are in memory, of all customers and of each. A place is taken before the signature can be checked, so
// that slow senders without a secret can keep only the places of the customers whose addresses they know.
type bodies struct {
	all  chan struct{}
	each int
	wait time.Duration // for a place

	mu         sync.Mutex
	byCustomer map[string]*customerBodies
}

type customerBodies struct {
	places chan struct{}
	users  int // that have a place, or wait for one
}

func newBodies(all, each int, wait time.Duration) *bodies {
	return &bodies{all: make(chan struct{}, all), each: each, wait: wait, byCustomer: map[string]*customerBodies{}}
}

// take waits for a place. ok is false if there was none in time; otherwise the caller calls release.
func (b *bodies) take(ctx context.Context, customer string) (release func(), ok bool) {
	waiting, cancel := context.WithTimeout(ctx, b.wait)
	defer cancel()
	own := b.enter(customer)
	if !takePlace(waiting, own.places) {
		b.leave(customer, own)
		return nil, false
	}
	if !takePlace(waiting, b.all) {
		<-own.places
		b.leave(customer, own)
		return nil, false
	}
	return func() {
		<-b.all
		<-own.places
		b.leave(customer, own)
	}, true
}

func takePlace(ctx context.Context, places chan struct{}) bool {
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
