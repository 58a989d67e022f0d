package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/service"
)

type versionDocument struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // "" where the build did not know it
	Go       string `json:"go"`
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			about := versionDocument{Version: service.Version, Revision: revision(), Go: runtime.Version()}
			if a.json {
				return a.document(about)
			}
			if about.Revision == "" {
				sayf(a.out, "rollcall %s (%s)", about.Version, about.Go)
			} else {
				sayf(a.out, "rollcall %s (%s, %s)", about.Version, about.Revision, about.Go)
			}
			return nil
		},
	}
}

// revision returns the commit of the build, marked if the files differed from it.
func revision() string {
	build, known := debug.ReadBuildInfo()
	if !known {
		return ""
	}
	settings := map[string]string{}
	for _, setting := range build.Settings {
		settings[setting.Key] = setting.Value
	}
	if settings["vcs.modified"] == "true" {
		return settings["vcs.revision"] + "-dirty"
	}
	return settings["vcs.revision"]
}
