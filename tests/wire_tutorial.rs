//! The tutorial's two programs, the UDP chat and the TCP downloads, in plain Python as it has them, with
//! `netkitctl wire` alone on the other side. Only addresses are arguments here.

use crate::harness::{Running, command, has_program, listening, may_skip, wire, wiring};

/// The UDP chat: two threads, until it hears bye and its user presses Enter once more.
const CHAT: &str = r"
import socket, sys, threading

def recv_fun(udp_socket, close_session):
    while True:
        recv_data = udp_socket.recvfrom(1024)
        print('用户说：%s' % recv_data[0].decode('utf-8'), flush=True)
        if recv_data[0].decode('utf-8') == 'bye':
            close_session[0] = True
            udp_socket.close()
            break

def send_fun(udp_socket, dest_addr, close_session):
    while True:
        send_msg = input()
        if close_session[0]:
            break
        udp_socket.sendto(send_msg.encode('utf-8'), dest_addr)

close_session = [False]
udp_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp_socket.bind(('127.0.0.1', 0))
print(udp_socket.getsockname()[1], flush=True)
dest_addr = ('127.0.0.1', int(sys.argv[1]))
t_recv = threading.Thread(target=recv_fun, args=(udp_socket, close_session))
t_send = threading.Thread(target=send_fun, args=(udp_socket, dest_addr, close_session))
t_recv.start()
t_send.start()
";

/// The client of the downloads.
const CLIENT: &str = r"
import socket, sys
tcp_client_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
tcp_client_socket.connect(('127.0.0.1', int(sys.argv[1])))
file_name = input()
tcp_client_socket.send(file_name.encode('utf-8'))
while True:
    server_data = tcp_client_socket.recv(1024)
    if not server_data:
        break
    elif server_data.decode('utf-8') == 'no_file':
        print('暂时没有您需要下载的资源')
        break
    with open('[新]%s' % file_name, 'ab') as f:
        f.write(server_data)
tcp_client_socket.close()
";

/// The server of the downloads.
const SERVER: &str = r"
import socket, threading

def send_info(new_client_socket, client_addr):
    try:
        file_name = new_client_socket.recv(1024).decode('utf-8')
    except Exception as err:
        print('%s客户端异常' % str(client_addr), flush=True)
        return
    try:
        with open(file_name, 'rb') as f:
            while True:
                info = f.read(1024)
                if not info:
                    break
                new_client_socket.send(info)
        new_client_socket.close()
    except Exception as err:
        new_client_socket.send('no_file'.encode('utf-8'))
        new_client_socket.close()

tcp_server_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
tcp_server_socket.bind(('127.0.0.1', 0))
tcp_server_socket.listen(128)
print(tcp_server_socket.getsockname()[1], flush=True)
while True:
    new_client_socket, client_addr = tcp_server_socket.accept()
    t = threading.Thread(target=send_info, args=(new_client_socket, client_addr))
    t.start()
";

fn python(program: &str, arguments: &[&str]) -> std::process::Command {
    let mut command = command("python3", &[&["-c", program], arguments].concat());
    command.env("PYTHONIOENCODING", "utf-8");
    command
}

fn port_of(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

#[test]
fn the_chat_talks_both_ways_until_bye() {
    if may_skip(has_program("python3"), "the_chat_talks_both_ways_until_bye", "python3") {
        return;
    }
    // It speaks first, so that whom to answer is known: as the tutorial's reader sits at port 9999.
    let (mut wire, address) = listening(&["udp", "listen", "127.0.0.1:0", "-o", "text"]);
    let mut chat = Running::start(python(CHAT, &[port_of(&address)]));
    let port = chat.line();
    for (ask, answer) in [("你好", "世界"), ("second", "and back")] {
        chat.write(format!("{ask}\n").as_bytes());
        let line = wire.line();
        assert!(line.contains(&format!("127.0.0.1:{port} {} bytes: {ask}", ask.len())), "{line}");
        wire.write(format!("{answer}\n").as_bytes());
        assert_eq!(chat.line(), format!("用户说：{answer}"));
    }
    wire.write(b"bye\n");
    assert_eq!(chat.line(), "用户说：bye");
    chat.write(b"\n"); // its sender notices then, or at the end of its input: its threads race
    chat.close_stdin();
    chat.end().expect(0);
}

#[test]
fn the_chat_is_spoken_to_first_from_the_port_it_answers_to() {
    if may_skip(has_program("python3"), "the_chat_is_spoken_to_first_from_the_port_it_answers_to", "python3")
    {
        return;
    }
    // A port of our own that the chat knows before anybody listens there.
    let place = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = place.local_addr().unwrap().to_string();
    let mut chat = Running::start(python(CHAT, &[port_of(&own)]));
    let to = format!("127.0.0.1:{}", chat.line());
    drop(place);
    let mut wire = wiring(&["udp", "connect", &to, "--bind", &own, "-o", "text"]);
    wire.write("先说\n".as_bytes());
    assert_eq!(chat.line(), "用户说：先说");
    chat.write("听到了\n".as_bytes());
    assert!(wire.line().ends_with("9 bytes: 听到了"));
    wire.write(b"bye\n");
    assert_eq!(chat.line(), "用户说：bye");
}

#[test]
fn files_come_from_the_tutorials_server() {
    if may_skip(has_program("python3"), "files_come_from_the_tutorials_server", "python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let content: String = (0..5000).map(|n| format!("第{n}行\n")).collect();
    std::fs::write(dir.path().join("课件.txt"), &content).unwrap();
    let mut server = python(SERVER, &[]);
    server.current_dir(dir.path());
    let mut server = Running::start(server);
    let address = format!("127.0.0.1:{}", server.line());
    assert_eq!(wire(&["tcp", "connect", &address, "--send", "课件.txt", "-q"]).expect(0).stdout, content);
    // The name on stdin, as its user types it; and one that it does not have.
    let typed =
        crate::harness::wire_with(&["tcp", "connect", &address, "-q"], "课件.txt\n".as_bytes()).expect(0);
    assert_eq!(typed.stdout, content);
    assert_eq!(
        wire(&["tcp", "connect", &address, "--send", "nothing", "-E", "^no_file$"]).expect(0).stdout,
        "no_file\n"
    );
}

#[test]
fn the_tutorials_clients_get_their_files() {
    if may_skip(has_program("python3"), "the_tutorials_clients_get_their_files", "python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // It decodes each piece it reads as UTF-8, so that the text must be ASCII.
    let content: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let path = dir.path().join("a.txt");
    std::fs::write(&path, &content).unwrap();
    let rule = format!(r"^a\.txt$ => file:{}", path.display());
    let (_server, address) = listening(&[
        "tcp",
        "listen",
        "127.0.0.1:0",
        "--hang-up",
        "--reply",
        &rule,
        "--reply",
        ". => no_file",
    ]);
    let clients: Vec<_> = (0..10)
        .map(|n| {
            let own = dir.path().join(n.to_string());
            std::fs::create_dir(&own).unwrap();
            let mut client = python(CLIENT, &[port_of(&address)]);
            client.current_dir(&own);
            let mut client = Running::start(client);
            client.write(if n == 0 { b"b.txt\n" } else { b"a.txt\n" });
            (n, own, client)
        })
        .collect();
    for (n, own, client) in clients {
        let ended = client.end().expect(0);
        if n == 0 {
            assert_eq!(ended.stdout, "暂时没有您需要下载的资源\n");
        } else {
            assert_eq!(std::fs::read_to_string(own.join("[新]a.txt")).unwrap(), content);
        }
    }
}
