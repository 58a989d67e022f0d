package service

import (
	_ "time/tzdata" // quiet hours name their zone

	_ "golang.org/x/crypto/x509roots/fallback" // used where the machine has no CA certificates of its own
)
