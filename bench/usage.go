package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc's times, the same on every Linux.
const tick = 10 * time.Millisecond

// usage is what a process, or a server with all its processes, has used.
type usage struct {
	cpu  time.Duration
	peak int64 // bytes of memory, at most, since it started; of several processes the largest one's
}

// usageOf reads what a process has used.
func usageOf(pid int) (usage, error) {
	own, err := times(pid)
	if err != nil {
		return usage{}, err
	}
	peak, err := memory(pid, "VmHWM")
	return usage{cpu: own.used, peak: peak}, err
}

// usageOfAll reads what a process and its children have used, those that have ended as well.
func usageOfAll(pid int) (usage, error) {
	own, err := times(pid)
	if err != nil {
		return usage{}, err
	}
	all := usage{cpu: own.used + own.ofEnded}
	// Glob's only error is a bad pattern, and this one is ours.
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		child, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		its, err := times(child)
		if err != nil || its.parent != pid {
			continue // it ended meanwhile, or is somebody else's
		}
		all.cpu += its.used + its.ofEnded
		if peak, err := memory(child, "VmHWM"); err == nil {
			all.peak = max(all.peak, peak)
		}
	}
	return all, nil
}

// spent is a line of /proc/<pid>/stat.
type spent struct {
	parent        int
	used, ofEnded time.Duration // its own, and its ended children's
}

func times(pid int) (spent, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return spent{}, fmt.Errorf("read what process %d has used: %w", pid, err)
	}
	// The second field is a name in brackets, and may hold anything.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	var numbers [5]int64
	for i, at := range []int{1, 11, 12, 13, 14} { // ppid, utime, stime, cutime, cstime
		if at >= len(fields) {
			return spent{}, fmt.Errorf("read what process %d has used: the line is too short", pid)
		}
		if numbers[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return spent{}, fmt.Errorf("read what process %d has used: %w", pid, err)
		}
	}
	return spent{
		parent: int(numbers[0]), used: time.Duration(numbers[1]+numbers[2]) * tick, ofEnded: time.Duration(numbers[3]+numbers[4]) * tick,
	}, nil
}

// memory reads a line of /proc/<pid>/status that is in kB, and gives bytes.
func memory(pid int, name string) (int64, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
			}
			return kilobytes << 10, nil
		}
	}
	return 0, fmt.Errorf("read the memory of process %d: there is no %s", pid, name)
}

// load is how many processes wanted a core in the last minute, on average.
func load() (float64, error) {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, fmt.Errorf("read the load: %w", err)
	}
	first, _, _ := strings.Cut(string(raw), " ")
	return strconv.ParseFloat(first, 64)
}
