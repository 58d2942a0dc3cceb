//go:build tools

// Package tools keeps etcd in go.mod, so that its version and checksum are fixed.
package tools

import _ "go.etcd.io/etcd/server/v3"
