// Copyright 2026 The Portero Authors
// SPDX-License-Identifier: Apache-2.0
// JavaMail. Arguments: protocol, port, user, password, from, file, to...
import java.io.FileInputStream;
import java.util.Arrays;
import java.util.Properties;
import javax.mail.Message;
import javax.mail.SendFailedException;
import javax.mail.Session;
import javax.mail.Transport;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeMessage;

public class Send {
	public static void main(String[] a) throws Exception {
		String p = "mail." + a[0] + ".";
		Properties props = new Properties();
		props.put(p + "auth", "true");
		props.put(p + "localhost", "client.example.test");
		props.put(p + "ssl.checkserveridentity", "true");
		props.put(p + "sendpartial", "true");
		props.put(p + "from", a[4]);
		if (a[0].equals("smtp")) {
			props.put(p + "starttls.enable", "true");
			props.put(p + "starttls.required", "true");
		}
		Session session = Session.getInstance(props);
		MimeMessage message = new MimeMessage(session,
		    new FileInputStream(a[5]));
		InternetAddress[] to = Arrays.stream(a).skip(6).map(t -> {
			try {
				return new InternetAddress(t);
			} catch (Exception e) {
				throw new RuntimeException(e);
			}
		}).toArray(InternetAddress[]::new);
		try (Transport t = session.getTransport(a[0])) {
			t.connect("localhost", Integer.parseInt(a[1]), a[2],
			    a[3]);
			t.sendMessage(message, to);
		} catch (SendFailedException e) {
			System.exit(e.getValidSentAddresses() != null ? 3 : 1);
		}
	}
}
