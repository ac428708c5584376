"""The jobs that look after students' disks: snapshots, restores and their proofs."""
