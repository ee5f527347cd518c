// Package ports reserves ports of 127.0.0.1 for programs that get theirs as an argument,
// and that begin to listen some time later, or again after a restart.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports are outside the ranges from which an operating system takes those of outgoing
// connections (Linux: from 32768, others: from 49152), since any such connection could take
// the port between its choice and its use. NodePorts begin at 30000.
const (
	lowest = 14000
	count  = 15000
)

// attempts is how many ports are tried.
const attempts = 100

// Port is a reserved port. No other process that uses this package gets it.
type Port struct {
	Number int
	// hold is a UDP socket with the same number, which leaves the TCP port free.
	hold net.PacketConn
}

// Reserve reserves a port on which nobody listens.
func Reserve() (*Port, error) {
	var last error
	for range attempts {
		number := lowest + rand.IntN(count)
		address := fmt.Sprintf("127.0.0.1:%d", number)
		hold, err := net.ListenPacket("udp", address)
		if err != nil {
			last = err
			continue
		}
		free, err := net.Listen("tcp", address)
		if err != nil {
			last = errors.Join(err, hold.Close())
			continue
		}
		if err := free.Close(); err != nil {
			return nil, errors.Join(err, hold.Close())
		}
		return &Port{Number: number, hold: hold}, nil
	}
	return nil, fmt.Errorf("no free port found: %w", last)
}

// Release ends the reservation.
func (p *Port) Release() error { return p.hold.Close() }
