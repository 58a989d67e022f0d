package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// metadataMaxBytes holds the max_bytes that Ensure last set. If the stream's max_bytes differs, an operator has
	// set it.
	metadataMaxBytes = "rollcall-max-bytes"
	// leastBytes is the smallest limit that Ensure sets.
	leastBytes = 1 << 20
	// streamRoom is created and deleted to measure how much storage the server lets streams reserve.
	streamRoom = "ROLLCALL_ROOM"

	codeNoStorage jetstream.ErrorCode = 10047 // the server or the account has no more storage to reserve
	codeNoPeers   jetstream.ErrorCode = 10005 // in a cluster: no server has
)

// limits returns the max_bytes of the streams that get a limit. A limit that an operator set is kept. If all limits
// together exceed half of the storage that these streams may reserve, the limits that are not the operator's are
// lowered in proportion: without the other half, full events would stop polls, onboarding and alerts.
func (l Layout) limits(
	ctx context.Context, js jetstream.JetStream, have map[string]*jetstream.StreamInfo,
) (limits map[string]int64, notes []string, err error) {
	limits = map[string]int64{}
	var wanted, operators, reserved int64
	var names []string
	for name, limit := range l.MaxBytes {
		info := have[name]
		if info != nil && info.Config.MaxBytes > 0 {
			reserved += info.Config.MaxBytes
			if info.Config.Metadata[metadataMaxBytes] != strconv.FormatInt(info.Config.MaxBytes, 10) {
				operators += info.Config.MaxBytes
				continue
			}
		}
		names = append(names, name)
		limits[name], wanted = limit, wanted+limit
	}
	if len(names) == 0 {
		return limits, nil, nil
	}
	slices.Sort(names)
	room, err := l.room(ctx, js, reserved, 2*(wanted+operators))
	if err != nil {
		return nil, nil, err
	}
	if wanted+operators > room/2 {
		share := float64(max(room/2-operators, 0)) / float64(wanted)
		for _, name := range names {
			limits[name] = max(int64(float64(limits[name])*share)/leastBytes*leastBytes, leastBytes)
			notes = append(notes, fmt.Sprintf("stream %s is limited to %s instead of %s: all limits together stay below half of the server's %s",
				name, Size(limits[name]), Size(l.MaxBytes[name]), Size(room)))
		}
	}
	for _, name := range names {
		info := have[name]
		if info == nil {
			continue
		}
		if holds := int64(info.State.Bytes); holds > limits[name] { //nolint:gosec // a store's size
			limits[name] = holds + holds/4
			notes = append(notes, fmt.Sprintf("stream %s holds %s already, so it is limited to %s", name, Size(holds), Size(limits[name])))
		}
	}
	return limits, notes, nil
}

// room returns how many bytes the limited streams may reserve together, including what they have reserved, and at
// most most. A client cannot read the server's max_file_store, so room finds it by creating streams that reserve
// storage: the server accepts or rejects them.
func (l Layout) room(ctx context.Context, js jetstream.JetStream, reserved, most int64) (int64, error) {
	fits := func(bytes int64) (bool, error) {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{
			Name: streamRoom, Subjects: []string{"rollcall.room"}, Storage: jetstream.FileStorage, MaxBytes: bytes, Replicas: l.Replicas,
		})
		if api, rejected := errors.AsType[*jetstream.APIError](err); rejected && (api.ErrorCode == codeNoStorage || api.ErrorCode == codeNoPeers) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look how much the streams may reserve: %w", err)
		}
		return true, js.DeleteStream(ctx, streamRoom)
	}
	if most <= reserved {
		return most, nil
	}
	if err := js.DeleteStream(ctx, streamRoom); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) { // left behind by a migrate that was killed
		return 0, fmt.Errorf("look how much the streams may reserve: %w", err)
	}
	if enough, err := fits(most - reserved); err != nil || enough {
		return most, err
	}
	low, high := int64(0), (most-reserved)/leastBytes
	for high-low > 1 {
		middle := (low + high) / 2
		enough, err := fits(middle * leastBytes)
		if err != nil {
			return 0, err
		}
		if enough {
			low = middle
		} else {
			high = middle
		}
	}
	return reserved + low*leastBytes, nil
}

// Size formats a number of bytes for people.
func Size(bytes int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if bytes >= unit.size {
			return strconv.FormatFloat(float64(bytes*10/unit.size)/10, 'f', -1, 64) + " " + unit.name
		}
	}
	return strconv.FormatInt(bytes, 10) + " bytes"
}

// Usage is how full a stream is, with its limits.
type Usage struct {
	Stream      string
	Work        bool // a work stream; rollcall sets no limit for it
	Bytes       int64
	MaxBytes    int64 // 0: no limit
	Messages    int64
	MaxMessages int64 // 0: no limit
	MaxMessage  int64 // bytes of the largest message that the stream accepts; 0: no limit
	Replicas    int
}

// Share returns the used share of the stream's tightest limit, 0 if it has no limits.
func (u Usage) Share() float64 {
	share := 0.0
	if u.MaxBytes > 0 {
		share = float64(u.Bytes) / float64(u.MaxBytes)
	}
	if u.MaxMessages > 0 {
		share = max(share, float64(u.Messages)/float64(u.MaxMessages))
	}
	return share
}

// AcceptsNothing reports whether a limit is so low that the stream accepts no message.
func (u Usage) AcceptsNothing() bool {
	return u.Work && ((u.MaxBytes > 0 && u.MaxBytes < maxWorkMessage) || (u.MaxMessage > 0 && u.MaxMessage < leastWorkMessage))
}

// leastWorkMessage is smaller than any of rollcall's requests.
const leastWorkMessage = 1 << 10

// Usages returns how full each stream is.
func Usages(ctx context.Context, js jetstream.JetStream) ([]Usage, error) {
	var usages []Usage
	for _, want := range StreamConfigs(1) {
		stream, err := js.Stream(ctx, want.Name)
		if err != nil {
			return nil, fmt.Errorf("look up stream %s: %w", want.Name, err)
		}
		info := stream.CachedInfo()
		usages = append(usages, Usage{
			Stream: want.Name, Work: want.Retention == jetstream.WorkQueuePolicy, Replicas: info.Config.Replicas,
			Bytes: int64(info.State.Bytes), Messages: int64(info.State.Msgs), //nolint:gosec // a store's size
			MaxBytes: max(info.Config.MaxBytes, 0), MaxMessages: max(info.Config.MaxMsgs, 0), MaxMessage: max(int64(info.Config.MaxMsgSize), 0),
		})
	}
	return usages, nil
}
