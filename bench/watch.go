package main

import (
	"context"
	"time"
)

// sample is a process's memory at some moment of a round.
type sample struct {
	Second float64 `json:"second"`
	MiB    float64 `json:"miB"`
}

const (
	maxSamples  = 240
	sampleEvery = time.Second
)

// series keeps samples at even distances, however many come: where there would be too many, every second one goes, and
// from then on only every second one is taken.
type series struct {
	kept   []sample
	stride int // one of so many is kept
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
			return taken.kept // it has ended: whoever waits for it says so
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
