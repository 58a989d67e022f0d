package config

import (
	"errors"
	"net"
	"strconv"
	"strings"
)

var errPrivateHosts = errors.New("ALLOW_PRIVATE_HOSTS must be hosts with their ports, comma-separated: crm.internal:8443,10.0.0.7:80")

// PrivateHosts returns the hosts of ALLOW_PRIVATE_HOSTS, each as host:port in lower case. Load has checked them.
func (c Config) PrivateHosts() []string {
	hosts, err := c.privateHosts()
	if err != nil {
		return nil // an invalid list allows nothing
	}
	return hosts
}

func (c Config) privateHosts() ([]string, error) {
	if strings.TrimSpace(c.AllowPrivateHosts) == "" {
		return nil, nil
	}
	var hosts []string
	for text := range strings.SplitSeq(c.AllowPrivateHosts, ",") {
		host, port, err := net.SplitHostPort(strings.TrimSpace(text))
		if err != nil || host == "" || strings.ContainsAny(host, "*/@ ") {
			return nil, errPrivateHosts
		}
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return nil, errPrivateHosts
		}
		hosts = append(hosts, strings.ToLower(net.JoinHostPort(host, port)))
	}
	return hosts, nil
}
