package main

import (
	"context"
	"time"
)

// sample is a process's memory at one moment of a round.
type sample struct {
	Second float64 `json:"second"`
	MiB    float64 `json:"miB"`
}

const (
	maxSamples  = 240
	sampleEvery = time.Second
)

// series keeps samples at even intervals, however many are added: when there are too many, every second one is
// dropped, and from then on only every second one is kept.
type series struct {
	kept   []sample
	stride int // one of this many samples is kept
	seen   int
}

func (s *series) add(one sample) {
	s.stride = max(s.stride, 1)
	s.seen++
	if (s.seen-1)%s.stride != 0 {
		return
	}
	s.kept = append(s.kept, one)
	if len(s.kept) < maxSamples {
		return
	}
	half := s.kept[:0]
	for i := 0; i < len(s.kept); i += 2 {
		half = append(half, s.kept[i])
	}
	s.kept = half
	s.stride *= 2
}

// watchMemory samples a process's memory, at once and every second, until ctx ends.
func watchMemory(ctx context.Context, pid int) []sample {
	var taken series
	began := time.Now()
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		bytes, err := memory(pid, "VmRSS")
		if err != nil {
			return taken.kept // the process has ended; the code that waits for it reports that
		}
		taken.add(sample{Second: time.Since(began).Seconds(), MiB: mebibytes(bytes)})
		select {
		case <-ctx.Done():
			return taken.kept
		case <-ticker.C:
		}
	}
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
