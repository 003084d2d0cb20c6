# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
# Net::SMTP; the job is in JSON on standard input.
use strict;
use warnings;
use JSON::PP;
use Net::SMTP;

my $job = decode_json(join '', <STDIN>);
my %tls = (SSL_ca_file => $job->{ca}, SSL_verifycn_name => 'localhost',
    SSL_verify_mode => 1);
my $smtp = Net::SMTP->new('localhost', Port => $job->{port}, Timeout => 30,
    Hello => 'client.example.test', ($job->{implicit} ? (SSL => 1, %tls) : ()))
    or die "connect: $@";
$job->{implicit} or $smtp->starttls(%tls) or die 'starttls';
$smtp->auth($job->{user}, $job->{password}) or die 'auth: ' . $smtp->message;
$smtp->mail($job->{from}) or die $smtp->message;
my @taken = $smtp->recipient(@{$job->{to}}, { SkipBad => 1 });
$smtp->data() or die $smtp->message;
open my $file, '<:raw', $job->{message} or die $!;
my $message = do { local $/; <$file> };
$smtp->datasend($message) or die $smtp->message;
$smtp->dataend() or die $smtp->message;
$smtp->quit;
exit(@taken == @{$job->{to}} ? 0 : 3);
