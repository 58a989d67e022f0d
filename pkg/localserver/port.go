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
	lowestPort  = 20000
	highestPort = 32000
	portTries   = 1000
)

// handedOut keeps two callers in one process from being given the same port before either listens on it.
var handedOut sync.Map //nolint:gochecknoglobals // ports are the whole process's, whoever asks for one

// FreePort is a TCP port of 127.0.0.1 that nobody listens on, different at each call in a process. Another
// process may still take it first, so whoever listens on it must be ready to ask again.
func FreePort() (int, error) {
	var last error
	for range portTries {
		port := lowestPort + rand.IntN(highestPort-lowestPort) //nolint:gosec // not a secret
		if _, taken := handedOut.LoadOrStore(port, true); taken {
			continue
		}
		if last = portFree(port); last == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port: %w", errors.Join(errors.New("none found"), last))
}

// portFree is nil when 127.0.0.1:port can be listened on.
func portFree(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // it returns at once
	if err != nil {
		return err
	}
	return l.Close()
}
