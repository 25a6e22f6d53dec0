#!/bin/bash
# ${#names[@]} and "${b%#}" belong to the shell
names=("shop.example.com")
n=${#names[@]}; first="${names[0]%#}"

cat >"/etc/certs/shop.example.com.pem" <<'EOF'
PEM A
PEM B
EOF

