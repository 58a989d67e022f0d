package access

import (
	"net/http"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// Limits of sign-ins and of exchanges of links. Secrets cannot be guessed: the limits keep the database from being asked too often.
const (
	attemptsPerSecond = 1 // of one peer
	attemptsAtOnce    = 20
	attemptsOverall   = 30
	overallAtOnce     = 200
	peersKnown        = 4096 // bounds the memory
	ipv6Network       = 64   // one customer of a provider has as many addresses
)

// attempts limits how often peers try to get in.
type attempts struct {
	overall *rate.Limiter

	mu    sync.Mutex
	peers map[netip.Prefix]*rate.Limiter
}

func newAttempts() *attempts {
	return &attempts{overall: rate.NewLimiter(attemptsOverall, overallAtOnce), peers: map[netip.Prefix]*rate.Limiter{}}
}

// allow reports whether the sender of a request may try now.
func (a *attempts) allow(r *http.Request) bool {
	return a.peer(peerOf(r)).Allow() && a.overall.Allow()
}

func (a *attempts) peer(peer netip.Prefix) *rate.Limiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.peers[peer]; ok {
		return known
	}
	if len(a.peers) >= peersKnown {
		a.forget()
	}
	limiter := rate.NewLimiter(attemptsPerSecond, attemptsAtOnce)
	a.peers[peer] = limiter
	return limiter
}

// forget drops the peers that have not tried lately, or any one of them if all have.
func (a *attempts) forget() {
	for peer, limiter := range a.peers {
		if limiter.Tokens() >= attemptsAtOnce {
			delete(a.peers, peer)
		}
	}
	for peer := range a.peers {
		if len(a.peers) < peersKnown {
			return
		}
		delete(a.peers, peer)
	}
}

// peerOf returns the network of a request's sender; the zero Prefix if it is not known.
func peerOf(r *http.Request) netip.Prefix {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	address := peer.Addr().Unmap()
	bits := address.BitLen()
	if address.Is6() {
		bits = ipv6Network
	}
	network, err := address.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
