package person

// dice is a splitmix64 stream: small, fast and the same everywhere, which is all that invented people need.
type dice struct {
	state uint64
}

func (g Generator) dice(salt uint64, index int64) dice {
	start := dice{state: g.Seed ^ salt*0xd1342543de82ef95}
	start.state = start.next() ^ uint64(index) //nolint:gosec // only mixes bits: an index is never negative
	return dice{state: start.next()}
}

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 up to, not including, n.
func (d *dice) below(n int) int {
	return int(d.next() >> 1 % uint64(n)) //nolint:gosec // n is positive and the result smaller than n
}

func (d *dice) chance(percent int) bool { return d.below(100) < percent }

// weighted is a list of values of which some are met more often.
type weighted []struct {
	value   string
	percent int // of all; the last value takes what is left
}

func (w weighted) roll(d *dice) string {
	at := d.below(100)
	for _, choice := range w[:len(w)-1] {
		if at < choice.percent {
			return choice.value
		}
		at -= choice.percent
	}
	return w[len(w)-1].value
}
