package localserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Free ports are below the range from which the system assigns local ports to outgoing connections (32768 and up on
// Linux, 49152 and up elsewhere). While a server is down for a restart, any program's next connection could use a
// port of that range.
const (
	lowestPort = 20000
	blocks     = 120
	blockSize  = 100 // 20000-31999
)

// ports ensures that two callers never get the same port before one of them listens on it: within a process by a
// counter, between processes (tests of many packages run at once) by a block of ports that belongs to this process.
var ports portBlock //nolint:gochecknoglobals // the ports belong to the process, whichever code asks for one

// portBlock is a block of ports that this process has reserved.
type portBlock struct {
	sync.Mutex

	// held are the listeners on the first port of each reserved block. They are the reservation and stay open until
	// the process ends; the system then closes them, however it ends.
	held       []net.Listener
	next, last int
}

// FreePort returns a TCP port of 127.0.0.1 that is not in use, different at each call in a process and in each
// process that calls FreePort. Another program may still use the port first.
func FreePort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	for {
		for ; ports.next < ports.last; ports.next++ {
			if portFree(ports.next) == nil {
				ports.next++
				return ports.next - 1, nil
			}
		}
		if err := ports.reserve(); err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
	}
}

// reserve reserves a block that no other process has.
func (p *portBlock) reserve() error {
	last := errors.New("no block of ports")
	for _, block := range rand.Perm(blocks) { //nolint:gosec // not a secret
		first := lowestPort + block*blockSize
		l, err := listen(first)
		if err != nil {
			last = err
			continue
		}
		p.held, p.next, p.last = append(p.held, l), first+1, first+blockSize
		return nil
	}
	return fmt.Errorf("reserve a block of ports: %w", last)
}

// portFree returns nil if it can listen on 127.0.0.1:port.
func portFree(port int) error {
	l, err := listen(port)
	if err != nil {
		return err
	}
	return l.Close()
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // it returns at once
}
