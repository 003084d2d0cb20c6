<?php
// Copyright 2026 The Portero Authors
// SPDX-License-Identifier: Apache-2.0
// PHPMailer, which makes the message; the job is in JSON on standard input.
require '/usr/share/php/libphp-phpmailer/autoload.php';

use PHPMailer\PHPMailer\PHPMailer;

$job = json_decode(stream_get_contents(STDIN));
$mail = new PHPMailer(true);
$mail->isSMTP();
$mail->Host = 'localhost';
$mail->Port = $job->port;
$mail->Hostname = 'client.example.test';
$mail->SMTPSecure = $job->implicit ? PHPMailer::ENCRYPTION_SMTPS
    : PHPMailer::ENCRYPTION_STARTTLS;
$mail->SMTPOptions = ['ssl' => ['cafile' => $job->ca]];
$mail->SMTPAuth = true;
$mail->Username = $job->user;
$mail->Password = $job->password;
$mail->CharSet = 'utf-8';
$mail->Encoding = 'base64';
$mail->setFrom($job->from);
foreach ($job->to as $to)
	$mail->addAddress($to);
$mail->Subject = $job->token;
$mail->Body = file_get_contents($job->text);
if ($job->attachment)
	$mail->addAttachment($job->attachment);
try {
	$mail->send();
} catch (Exception $e) {
	fwrite(STDERR, $e->getMessage());
	exit(strpos($e->getMessage(), 'recipients') ? 3 : 1);
}
