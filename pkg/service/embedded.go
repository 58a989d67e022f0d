package service

import (
	_ "time/tzdata" // quiet hours need the time zone database

	_ "golang.org/x/crypto/x509roots/fallback" // used if the machine has no CA certificates
)
