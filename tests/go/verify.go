// Verifies what Atena hands out with software that its authors did not write: Go's sumdb packages `note` and `tlog`.
//
//	go run verify.go KEY FOLDER
//
// FOLDER holds receipts (NAME.leaf, NAME.tlog-proof) and consistency proofs (NAME.old, NAME.new, NAME.consistency). Each has to verify,
// and none may verify any more once a single bit of it is flipped. Signed heads by themselves (NAME.head) have to verify; they may be signed
// by others as well, of whom KEY knows nothing.
package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

// A signed head: size and root. Go's note package reads several spellings of one signature; here one is enough.
func head(signed []byte, verifiers note.Verifiers) (int64, tlog.Hash, error) {
	for _, line := range strings.Split(string(signed), "\n") {
		if fields := strings.Fields(line); strings.HasPrefix(line, "— ") && len(fields) == 3 {
			if _, err := base64.StdEncoding.Strict().DecodeString(fields[2]); err != nil {
				return 0, tlog.Hash{}, err
			}
		}
	}
	opened, err := note.Open(signed, verifiers)
	if err != nil {
		return 0, tlog.Hash{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 {
		return 0, tlog.Hash{}, fmt.Errorf("not a checkpoint")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return 0, tlog.Hash{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return size, root, err
}

func hashes(lines []string) ([]tlog.Hash, error) {
	var all []tlog.Hash
	for _, line := range lines {
		raw, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(raw) != tlog.HashSize {
			return nil, fmt.Errorf("not a hash")
		}
		var hash tlog.Hash
		copy(hash[:], raw)
		all = append(all, hash)
	}
	return all, nil
}

func receipt(leaf, text []byte, verifiers note.Verifiers) error {
	parts := bytes.SplitN(text, []byte("\n\n"), 2)
	if len(parts) != 2 {
		return fmt.Errorf("not a receipt")
	}
	lines := strings.Split(string(parts[0]), "\n")
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "index ") {
		return fmt.Errorf("not a receipt")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	proof, err := hashes(lines[2:])
	if err != nil {
		return err
	}
	size, root, err := head(parts[1], verifiers)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(leaf))
}

func consistency(old, new, text []byte, verifiers note.Verifiers) error {
	oldSize, oldRoot, err := head(old, verifiers)
	if err != nil {
		return err
	}
	newSize, newRoot, err := head(new, verifiers)
	if err != nil {
		return err
	}
	var lines []string
	if len(text) > 0 {
		lines = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
	proof, err := hashes(lines)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, newSize, newRoot, oldSize, oldRoot)
}

// Flips every bit of one input in turn; `check` must refuse each.
func flip(name string, input []byte, check func([]byte) error) {
	for bit := 0; bit < len(input)*8; bit++ {
		changed := append([]byte(nil), input...)
		changed[bit/8] ^= 1 << (bit % 8)
		if check(changed) == nil {
			fail("%s: bit %d flipped and still accepted", name, bit)
		}
	}
}

func read(path string) []byte {
	content, err := os.ReadFile(path)
	if err != nil {
		fail("%v", err)
	}
	return content
}

func main() {
	verifier, err := note.NewVerifier(strings.TrimSpace(string(read(os.Args[1]))))
	if err != nil {
		fail("%v", err)
	}
	verifiers := note.VerifierList(verifier)
	checked := 0
	receipts, _ := filepath.Glob(filepath.Join(os.Args[2], "*.tlog-proof"))
	for _, path := range receipts {
		leaf, text := read(strings.TrimSuffix(path, ".tlog-proof")+".leaf"), read(path)
		if err := receipt(leaf, text, verifiers); err != nil {
			fail("%s: %v", path, err)
		}
		flip(path, leaf, func(changed []byte) error { return receipt(changed, text, verifiers) })
		flip(path, text, func(changed []byte) error { return receipt(leaf, changed, verifiers) })
		checked++
	}
	proofs, _ := filepath.Glob(filepath.Join(os.Args[2], "*.consistency"))
	for _, path := range proofs {
		base := strings.TrimSuffix(path, ".consistency")
		old, new, text := read(base+".old"), read(base+".new"), read(path)
		if err := consistency(old, new, text, verifiers); err != nil {
			fail("%s: %v", path, err)
		}
		flip(path, text, func(changed []byte) error { return consistency(old, new, changed, verifiers) })
		checked++
	}
	heads, _ := filepath.Glob(filepath.Join(os.Args[2], "*.head"))
	for _, path := range heads {
		if _, _, err := head(read(path), verifiers); err != nil {
			fail("%s: %v", path, err)
		}
		checked++
	}
	fmt.Println(checked)
}
