// Package acceptance holds tests of the whole product: the built programs as processes of their own, on a real
// NATS server and a real Postgres, against the sandbox. It owns what no package can show alone: that a killed
// worker is replaced, that limits hold over all processes, that a secret is nowhere at rest. It contains no
// code that a service uses.
package acceptance
