package localserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Free ports come from below the range out of which the system takes the local ports of outgoing connections
// (32768 and up on Linux, 49152 and up elsewhere). A port from that range can be taken by any program's next
// connection while a server that means to come back to it is down.
const (
	lowestPort = 20000
	blocks     = 120
	blockSize  = 100 // 20000-31999
)

// ports keeps two callers from being given the same port before either listens on it: callers in one process by its
// counter, callers in several (tests of many packages run at once) by a block of ports that is this process's alone.
var ports portBlock //nolint:gochecknoglobals // ports are the whole process's, whoever asks for one

// portBlock is a block of ports that this process has reserved.
type portBlock struct {
	sync.Mutex

	// held are the listeners on the first port of each reserved block. They are the reservation, and stay open for the
	// life of the process: the system gives them back when it ends, however it ends.
	held       []net.Listener
	next, last int
}

// FreePort is a TCP port of 127.0.0.1 that nobody listens on, different at each call in a process, and in each process
// that asks here. A program of another kind may still take it first.
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

// reserve takes a block that no other process has.
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

// portFree is nil when 127.0.0.1:port can be listened on.
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
