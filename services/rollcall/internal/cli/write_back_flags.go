package cli

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"rollcall.dev/pkg/operatorapi"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	flagWriteBack       = "write-back"
	flagWriteBackCreate = "write-back-create"
)

// writeBackFlags say what the external system may write to VOMO.
type writeBackFlags struct {
	fields []string
	create bool
}

func (w *writeBackFlags) register(flags *pflag.FlagSet, usage string) {
	flags.StringSliceVar(&w.fields, flagWriteBack, nil, usage)
	flags.BoolVar(&w.create, flagWriteBackCreate, false, "with --write-back: add users to VOMO that it does not have")
}

// isNone reports whether the flags end the write-back.
func (w *writeBackFlags) isNone() bool {
	return slices.Equal(w.fields, []string{"none"}) && !w.create
}

// shownWriteBack writes the setting as --write-back takes it.
func shownWriteBack(writeBack *operatorapi.WriteBack) string {
	if writeBack == nil {
		return noSetting
	}
	// The order of the fields means nothing, and is not a change.
	text := strings.Join(slices.Sorted(slices.Values(writeBack.Fields)), ",")
	if writeBack.Create {
		text += ", and adds users"
	}
	return text
}

// askedWriteBack returns what a request sets.
func askedWriteBack(request *rollcallv1.OnboardingRequest) *operatorapi.WriteBack {
	if request.GetWriteBack() == nil {
		return nil
	}
	return &operatorapi.WriteBack{Fields: request.GetWriteBack().GetFields(), Create: request.GetWriteBack().GetCreate()}
}
