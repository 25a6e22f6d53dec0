#!/bin/bash
# ${#names[@]} and "${b%#}" belong to the shell
names=({{range $i, $d := ls "/deis/certs"}}{{if $i}} {{end}}"{{$d}}"{{end}})
n=${#names[@]}; first="${names[0]%#}"
{{range lsdir "/deis/certs"}}
{{$dir := printf "/deis/certs/%s" .}}cat >"/etc/certs/{{.}}.pem" <<'EOF'
{{getv (printf "%s/cert" $dir)}}
{{getv (printf "%s/key" $dir)}}
EOF
{{else}}
rm -f /etc/certs/*
{{end}}
