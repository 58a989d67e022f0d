package traffic

import "time"

// window finds the largest number of arrivals in any half-open interval of a length. It looks at every
// arrival when it comes and keeps only those that can still matter, so that its memory follows the rate and
// not the length of the run.
type window struct {
	length time.Duration
	recent []time.Time // arrivals less than length before the last
	most   int
}

func (w *window) arrive(at time.Time) {
	gone := 0
	for gone < len(w.recent) && at.Sub(w.recent[gone]) >= w.length {
		gone++
	}
	w.recent = append(w.recent[gone:], at)
	w.most = max(w.most, len(w.recent))
}
