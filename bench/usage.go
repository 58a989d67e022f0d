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

// tick is the unit of the times in /proc, the same on every Linux.
const tick = 10 * time.Millisecond

// usage is what a process, or a server with all its processes, has used.
type usage struct {
	cpu  time.Duration
	peak int64 // peak memory in bytes since the start; for several processes that of the largest
}

// usageOf returns what a process has used.
func usageOf(pid int) (usage, error) {
	own, err := times(pid)
	if err != nil {
		return usage{}, err
	}
	peak, err := memory(pid, "VmHWM")
	return usage{cpu: own.used, peak: peak}, err
}

// usageOfAll returns what a process and its children have used, including children that have ended.
func usageOfAll(pid int) (usage, error) {
	own, err := times(pid)
	if err != nil {
		return usage{}, err
	}
	all := usage{cpu: own.used + own.ofEnded}
	// Glob fails only for a bad pattern, and this pattern is constant.
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		child, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		its, err := times(child)
		if err != nil || its.parent != pid {
			continue // the process has ended, or belongs to another user
		}
		all.cpu += its.used + its.ofEnded
		if peak, err := memory(child, "VmHWM"); err == nil {
			all.peak = max(all.peak, peak)
		}
	}
	return all, nil
}

// spent holds values of /proc/<pid>/stat.
type spent struct {
	parent        int
	used, ofEnded time.Duration // the process's own time, and that of its ended children
}

func times(pid int) (spent, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return spent{}, fmt.Errorf("read what process %d has used: %w", pid, err)
	}
	// The second field is a name in brackets, which may contain any character.
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

// memory reads a line in kB of /proc/<pid>/status and returns bytes.
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

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// load returns how many processes wanted a core in the last minute, on average.
func load() (float64, error) {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, fmt.Errorf("read the load: %w", err)
	}
	first, _, _ := strings.Cut(string(raw), " ")
	return strconv.ParseFloat(first, 64)
}
