package destination

import "net/netip"

// special are the IPv4 ranges that netip has no predicate for and that lead, or can be made to lead, into our own
// network, or nowhere: "this network", carrier-grade NAT, protocol assignments, documentation, the old 6to4 relays,
// benchmarks, reserved and broadcast.
func special() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("192.88.99.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
	}
}

// global contains all public IPv6 addresses. Addresses outside have special meanings: mapped, compatible and NAT64
// addresses contain an IPv4 address, others stay in one network.
func global() netip.Prefix { return netip.MustParsePrefix("2000::/3") }

// special6 are the ranges inside global that are not public: protocol assignments (with Teredo, which contains an
// IPv4 address), documentation, and 6to4, which contains one too.
func special6() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("2001::/23"),
		netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("2002::/16"),
		netip.MustParsePrefix("3fff::/20"),
	}
}

// public rejects every mapped address and every address with a zone: there is no legitimate reason to use one here.
func public(addr netip.Addr) bool {
	ranges := special()
	if addr.Is6() {
		if addr.Zone() != "" || !global().Contains(addr) {
			return false
		}
		ranges = special6()
	}
	if !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return false
	}
	for _, p := range ranges {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}
