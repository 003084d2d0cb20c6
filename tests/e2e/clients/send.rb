# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
# Net::SMTP of Ruby; the job is in JSON on standard input.
require "json"
require "net/smtp"

job = JSON.parse($stdin.read)
context = OpenSSL::SSL::SSLContext.new
context.set_params(ca_file: job["ca"], verify_mode: OpenSSL::SSL::VERIFY_PEER)
smtp = Net::SMTP.new("localhost", job["port"])
job["implicit"] ? smtp.enable_tls(context) : smtp.enable_starttls(context)
smtp.start("client.example.test", job["user"], job["password"], :plain) do |s|
  s.send_message(File.binread(job["message"]), job["from"], job["to"])
end
